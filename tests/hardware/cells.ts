import type { Core } from "../../src/core.js";
import { structureCells, structures } from "../../src/generated/declarations.js";

/** One cell of a structure's counts, read without making an object of all. */
export const Structure = {
  misses(core: Core, structure: string): () => number {
    const at = structures.find((s) => s.name === structure)!.value * structureCells.length;
    const cell = at + structureCells.find((c) => c.name === "misses")!.value;
    return () => Number(core.cells(core.exports.structuresAddress(), cell + 1)[cell]);
  },
};
