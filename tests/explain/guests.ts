import { resolveConfig, type TechniqueName, techniqueKeys } from "../../src/config/index.js";
import type { CoreBuild } from "../../src/core.js";
import { Machine } from "../../src/machine.js";
import { RecordEncoder } from "../../src/trace/index.js";

export function machineOf(technique: TechniqueName, set: readonly string[] = [], core?: CoreBuild): Machine {
  const keys = Object.entries(techniqueKeys(technique)).map(([key, value]) => `${key}=${value}`);
  return new Machine(resolveConfig({ set: [...keys, ...set] }), core);
}

/** Page tables by frame: level, and entries by index. */
export type TablePages = Record<number, [level: number, entries: Record<number, bigint>]>;

export interface Guest {
  cr0?: number;
  cr3?: number;
  cr4?: number;
  efer?: number;
  tables: TablePages;
  mode?: number;
}

/** A guest of 4-level paging whose code runs at CPL 3, ready to be fed; what follows is recorded after it. */
export function boot({
  cr0 = 0x80050033,
  cr3 = 0x1000,
  cr4 = 0x20,
  efer = 0xd01,
  tables,
  mode = 3,
}: Guest): RecordEncoder {
  const e = new RecordEncoder();
  e.cr0(cr0).cr4(cr4).efer(efer);
  for (const [frame, [level, entries]] of Object.entries(tables))
    e.ptp(
      Number(frame),
      level,
      Object.entries(entries).map(([i, value]) => [Number(i), value] as const),
    );
  return e.cr3(cr3).mode(mode);
}

/** One page of 4 KiB at 4 MiB + n pages for each leaf entry. */
export function pages(leaves: Record<number, bigint>, upper = 0x67n): TablePages {
  return {
    1: [4, { 0: 0x2000n | upper }],
    2: [3, { 0: 0x3000n | upper }],
    3: [2, { 2: 0x4000n | upper }],
    4: [1, leaves],
  };
}
export const BASE = 0x400000;
