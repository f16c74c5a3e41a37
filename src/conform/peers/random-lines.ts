/**
 * The synthetic programs of the comparison with other TLB simulators: each instruction, one of sixteen code words,
 * accesses a random line of a region; every fourth access is a store. xorshift64, seed 88172645463325252.
 */

import { Xorshift64 } from "../../trace/synth/random.js";

export interface Program {
  readonly name: string;
  readonly regionBytes: number;
  readonly instructions: number;
}

export const programs: readonly Program[] = [
  { name: "g8", regionBytes: 8 << 20, instructions: 2_000_000 },
  { name: "g64", regionBytes: 64 << 20, instructions: 2_000_000 },
  { name: "gups", regionBytes: 1 << 30, instructions: 3_000_000 },
];

export const CODE = 0x40_0000;
export const REGION = 0x100_0000_0000;
export const STORE_EVERY = 4;
const LINE = 64;
const SEED = 88172645463325252n;

/** The lines accessed, one number after the other. */
export function lineNumbers(program: Program): () => number {
  const random = new Xorshift64(SEED);
  const lines = program.regionBytes / LINE;
  return () => random.below(lines);
}
