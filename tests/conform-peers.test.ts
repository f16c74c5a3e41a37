import { describe, expect, it } from "vitest";
import { published } from "../src/conform/peers/published.js";
import { programs } from "../src/conform/peers/random-lines.js";
import { countMisses } from "../src/conform/peers/run.js";

/** The smallest of the programs; `npm run conform -- peers` runs all. */
describe("TLB misses as other simulators count them", () => {
  const g8 = programs.find((p) => p.name === "g8")!;
  it.each(published.filter((row) => row.program === g8.name))(
    "$program under $policy",
    ({ policy, misses }) => {
      expect(countMisses(g8, policy)).toEqual(misses);
    },
  );
});
