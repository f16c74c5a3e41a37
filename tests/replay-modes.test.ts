import { describe, expect, it } from "vitest";
import { resolveConfig, type TechniqueName, techniqueKeys } from "../src/config/index.js";
import { Machine } from "../src/machine.js";
import { bytesInMemory, openTrace, RecordEncoder } from "../src/trace/index.js";
import { checkTrace } from "../src/trace/tools/check.js";
import { nwtFile } from "./fixtures/traces.js";

const PG_WP_PE = 0x8001_0001;
const PAE = 0x20;
const TECHNIQUES = ["native", "shadow", "ept", "npt"] as const;

function replay(stream: Uint8Array, technique: TechniqueName) {
  const options = Object.entries(techniqueKeys(technique)).map(([path, value]) => ({
    option: "--technique",
    path,
    value,
  }));
  const machine = new Machine(resolveConfig({ options }));
  machine.feed(stream);
  return machine.finish();
}

/** Two PAE address spaces, each told after the load of CR3 that enters it, as traces/FORMAT.md has it. */
function paeStream(): Uint8Array {
  const e = new RecordEncoder();
  e.cr0(PG_WP_PE).cr4(PAE).efer(0).cr3(0x1000);
  e.ptp(1, 3, [[3, 0x2001]])
    .ptp(2, 2, [[511, 0x3063]])
    .ptp(3, 1, [[511, 0x9063]])
    .mode(0);
  for (let i = 0; i < 4; ++i) e.map(0xffff_f000, 0x9000).read(0xffff_f000 + 8 * i, 4);
  e.cr3(0x4000)
    .ptp(4, 3, [[3, 0x5001]])
    .ptp(5, 2, [[511, 0xa0_00e3]]);
  for (let i = 0; i < 4; ++i) e.map(0xffff_f000, 0xbf_f000).write(0xffff_f000 + 8 * i, 4);
  return e.end().take();
}

/** A guest that turns paging on while it is recorded: EFER was written before, without the LMA that the CPU adds. */
function longModeStream(): Uint8Array {
  const e = new RecordEncoder();
  e.cr0(0x11).cr4(PAE).efer(0x100).cr3(0x1000).mode(0).map(0x5000, 0x5000).fetch(0x5000, 3);
  e.cr0(PG_WP_PE)
    .ptp(1, 4, [[0, 0x2023]])
    .ptp(2, 3, [[0, 0x3023]])
    .ptp(3, 2, [[0, 0xe3]]);
  e.fetch(0x5003, 7).map(0x12_3000, 0x12_3000).read(0x12_3008, 8);
  return e.end().take();
}

describe("a mode that the guest enters", () => {
  it.each(TECHNIQUES)("PAE is replayed in %s from tables that are told after their CR3", (technique) => {
    const { oracle, laws } = replay(paeStream(), technique);
    expect(oracle).toEqual({ checked: 8, unknown: 0, mismatches: 0 });
    expect(laws.filter(({ holds }) => !holds)).toEqual([]);
  });

  it.each(TECHNIQUES)("long mode is replayed in %s from EFER.LME and CR0.PG", (technique) => {
    const { oracle, laws } = replay(longModeStream(), technique);
    expect(oracle).toEqual({ checked: 3, unknown: 0, mismatches: 0 });
    expect(laws.filter(({ holds }) => !holds)).toEqual([]);
  });

  it.each([
    ["PAE", paeStream()],
    ["long mode", longModeStream()],
  ])("%s checks as a good trace", async (_, stream) => {
    const report = await checkTrace(await openTrace(bytesInMemory("modes.nwt", await nwtFile(stream))));
    expect(report.fault).toBeUndefined();
    expect(report.translated).toBeGreaterThan(2);
  });
});
