import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
// @ts-expect-error: a script without types
import { mutations } from "./mutation/mutations.mjs";

interface Edit {
  file: string;
  from: string;
  to: string;
}

/* Whether a test catches each of them is what `npm run mutate` finds out. */
it("every fault that is planted has its place in the core", () => {
  const missing = (mutations as (Edit & { name: string; also?: Edit[] })[]).flatMap((mutation) =>
    [mutation, ...(mutation.also ?? [])]
      .filter(({ file, from }) => {
        const source = readFileSync(fileURLToPath(new URL(`../assembly/${file}`, import.meta.url)), "utf8");
        return source.split(from).length !== 2;
      })
      .map(({ file }) => `${mutation.name}: ${file}`),
  );
  expect(missing).toEqual([]);
});
