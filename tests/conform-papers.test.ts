import { describe, expect, it } from "vitest";
import { exitChecks } from "../src/conform/papers/exits.js";
import { referenceChecks } from "../src/conform/papers/references.js";

/** The exact figures; `npm run conform -- papers` adds the shapes on recorded guests. */
describe("published figures", () => {
  it.each([...referenceChecks(), ...exitChecks()].map((check) => [check.what, check] as const))(
    "%s",
    (_, check) => {
      expect(check.found).toBe(check.expected);
    },
  );
});
