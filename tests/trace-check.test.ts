import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openFile } from "../src/node/files.js";
import { bytesInMemory } from "../src/trace/bytes.js";
import { RecordEncoder } from "../src/trace/encode.js";
import { openTrace } from "../src/trace/open.js";
import { checkTrace } from "../src/trace/tools/check.js";
import { pgrec1File } from "./fixtures/traces.js";

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const open = (bytes: Uint8Array, name = "t") => openTrace(bytesInMemory(name, bytes));
const pgrec = (stream: Uint8Array) => open(pgrec1File(stream));
const fixtures = ["hugepages", "la57-fork", "pcid", "redis"];
const fixture = async (name: string) => openTrace(await openFile(file(`fixtures/${name}.nwt`)));

describe("check", () => {
  it.each(fixtures)("finds the recorded guest %s good", async (name) => {
    const report = await checkTrace(await fixture(name));
    expect([report.fault, report.withoutTruth, report.untranslated]).toEqual([undefined, 0, 0]);
    expect(report.translated).toBeGreaterThanOrEqual(report.accesses);
  });

  /** A guest of one page table page, whose page 0x400000 is frame 0xa. */
  const guest = () =>
    new RecordEncoder()
      .cr0(0x80050033)
      .cr4(0x20)
      .efer(0xd01)
      .cr3(0x1000)
      .ptp(1, 4, [[0, 0x2067n]])
      .ptp(2, 3, [[0, 0x3067n]])
      .ptp(3, 2, [[2, 0x4067n]])
      .ptp(4, 1, [
        [0, 0xa067n],
        [1, 0xb065n],
        [2, 0x8000_0000_0000_c063n],
      ])
      .mode(3)
      .map(0x400000, 0xa000);
  const fault = async (e: RecordEncoder) => {
    const { fault: what, faultEvent } = await checkTrace(await pgrec(e.end().take()));
    return [what, faultEvent];
  };

  it("accepts a small guest", async () => {
    expect(await fault(guest().write(0x400000, 8).fetch(0x401000, 3).mode(0).read(0x402000, 8))).toEqual([
      undefined,
      undefined,
    ]);
    // The recorder could not tell where the page is.
    const report = await checkTrace(
      await pgrec(guest().map(0x401000, 0xfffffffffffff000n).read(0x401000, 4).end().take()),
    );
    expect([report.fault, report.translated, report.withoutTruth]).toEqual([undefined, 1, 1]);
  });

  it("says where it first breaks", async () => {
    const cases: [RecordEncoder, string][] = [
      [
        guest().read(0x500000, 4),
        "the read in the page at 0x500000 has no translation: not present, under CR3 0x1000",
      ],
      [
        guest().map(0x400000, 0xb000).read(0x400000, 4),
        "the read in the page at 0x400000 is translated to frame 0xa by the recorded tables, but the recording says 0xb",
      ],
      [guest().write(0x401000, 4), "the write in the page at 0x401000 succeeded, but the page is read-only"],
      [
        guest().read(0x402000, 4),
        "the read in the page at 0x402000 succeeded, but user mode may not touch the page",
      ],
      [
        guest().mode(0).fetch(0x402000, 4),
        "the fetch in the page at 0x402000 succeeded, but the page is not executable",
      ],
      [guest().write(0x401ffe, 4), "the write in the page at 0x401000 succeeded, but the page is read-only"],
      [
        guest().cr4(0x300020).mode(0).read(0x400000, 4),
        "the read in the page at 0x400000 succeeded, but SMAP forbids the kernel to touch it",
      ],
      [
        guest().cr4(0x300020).mode(0).fetch(0x400000, 4),
        "the fetch in the page at 0x400000 succeeded, but SMEP forbids the kernel to execute it",
      ],
      [guest().ptw(0x9000, 1), "the entry at 0x9000 is written, but lies in no table page"],
      [guest().ptpDrop(9), "frame 0x9 is dropped, but is no table page"],
      [guest().cr3(0x8000_0000_0000_1000n), "CR3 is loaded with the no-flush bit, but CR4.PCIDE is 0"],
      [guest().insn(3), "instruction 3 is not defined"],
      [
        guest().read(0x400000, 4).ptw(0x4000, 0xd067n).map(0x400000, 0xd000).read(0x400000, 4),
        "the read in the page at 0x400000 may hit a stale TLB entry with frame 0xa, where the tables have 0xd: an invalidation is missing",
      ],
    ];
    for (const [encoder, what] of cases) expect((await fault(encoder))[0]).toBe(what);
    expect((await fault(guest().read(0x400000, 4).read(0x500000, 4)))[1]).toBe(11);
  });

  it("is content where the invalidation is there", async () => {
    const change = (e: RecordEncoder) => e.map(0x400000, 0xd000).read(0x400000, 4);
    const edited = () => guest().read(0x400000, 4).ptw(0x4000, 0xd067n);
    expect(await fault(change(edited().invlpg(0x400abc)))).toEqual([undefined, undefined]);
    expect(await fault(change(edited().cr3(0x1000)))).toEqual([undefined, undefined]);
    expect(await fault(change(edited().invpcid(2, 0, 0)))).toEqual([undefined, undefined]);
  });

  it("knows a translation that the TLB may keep after its entry has changed", async () => {
    const stale = async (e: RecordEncoder) => {
      const { fault, stale: found, translated } = await checkTrace(await pgrec(e.end().take()));
      return fault ?? [found, translated];
    };
    const used = () => guest().read(0x400000, 4);
    /* Another frame, no frame, and fewer rights. */
    expect(await stale(used().ptw(0x4000, 0xd067n).read(0x400000, 4).write(0x400008, 8))).toEqual([2, 3]);
    expect(await stale(used().ptw(0x4000, 0n).read(0x400000, 4))).toEqual([1, 2]);
    expect(await stale(used().ptw(0x4000, 0xa065n).write(0x400000, 4))).toEqual([1, 2]);
    expect(
      await stale(
        used()
          .ptw(0x4000, 0xd067n)
          .read(0x400000, 4)
          .invlpg(0x400000)
          .map(0x400000, 0xd000)
          .read(0x400000, 4),
      ),
    ).toEqual([1, 3]);
    /* Not once it is invalidated, not if it was never used, and not for what it did not allow. */
    const gone =
      "the read in the page at 0x400000 is translated to frame 0xd by the recorded tables, but the recording says 0xa";
    expect(await stale(used().ptw(0x4000, 0xd067n).invlpg(0x400000).read(0x400000, 4))).toBe(gone);
    expect(await stale(used().ptw(0x4000, 0xd067n).cr3(0x1000).read(0x400000, 4))).toBe(gone);
    expect(await stale(guest().ptw(0x4000, 0xd067n).read(0x400000, 4))).toBe(gone);
    expect(await stale(used().ptw(0x4000, 0n).fetch(0x400000, 4))).toEqual([1, 2]);
    const readOnly = guest().map(0x401000, 0xb000).read(0x401000, 4).ptw(0x4008, 0n).write(0x401000, 4);
    expect(await stale(readOnly)).toBe(
      "the write in the page at 0x401000 has no translation: not present, under CR3 0x1000",
    );
  });

  it("translates 32-bit and PAE tables", async () => {
    const legacy = new RecordEncoder().cr0(0x80010001).cr4(0x10).cr3(0x1000);
    legacy
      .ptp(1, 2, [[0, (0x00800087n << 32n) | 0x2007n]])
      .ptp(2, 1, [[0, 0x5007_0000_4007n]])
      .mode(3);
    legacy.map(0x1000, 0x5000).read(0x1000, 4).map(0x400000, 0x800000).write(0x400000, 4);
    expect(await fault(legacy)).toEqual([undefined, undefined]);
    const pae = new RecordEncoder().cr0(0x80010001).cr4(0x20).cr3(0x1020);
    pae
      .ptp(1, 3, [[4, 0x2001n]])
      .ptp(2, 2, [[0, 0x3007n]])
      .ptp(3, 1, [[1, 0x7007n]])
      .mode(3);
    pae.map(0x1000, 0x7000).read(0x1000, 4);
    expect(await fault(pae)).toEqual([undefined, undefined]);
  });

  it("wants of a trace without tables that it has none", async () => {
    const user = (e: RecordEncoder) =>
      open(pgrec1File(e.end().take(), { user: 1 })).then((t) => checkTrace(t));
    expect((await user(new RecordEncoder().switchTo(1, 1).read(0x1000, 4))).fault).toBeUndefined();
    expect((await user(new RecordEncoder().switchTo(1, 1).cr3(5))).fault).toBe(
      "a trace that says it has no page tables has a CR3",
    );
    expect((await user(new RecordEncoder().read(0x1000, 4))).fault).toBeUndefined();
  });
});
