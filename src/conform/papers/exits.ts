import { resolveConfig } from "../../config/index.js";
import { Machine } from "../../machine.js";
import type { MachineResult } from "../../result.js";
import { RecordEncoder } from "../../trace/index.js";
import { type Check, exact } from "./check.js";

/** Exits of one guest page fault: a guest of a few pages whose handler stores the entries that were missing. */

const PVM = "Huang et al., PVM, SOSP 2023, section 2.2";
const LINUX = "Linux 6.1 arch/x86/kvm/mmu: a level-1 table goes out of sync on its first store";

const PAGE = 0x1000;
const FLAGS = 0x63;
const USED = 0x63;
/** Clean: a shadow of it is read-only until the first store. */
const CLEAN = 0x23;
/** Frames of the tables: the root, then a PDPT, a PD and a PT that two regions share. */
const ROOT = 0x10;
const TABLES = [0x11, 0x12, 0x13] as const;
/** The tables and the code seen through the guest kernel's own mapping. */
const KERNEL = [0x20, 0x21, 0x22] as const;
const CODE_FRAME = 0x30;
const DATA_FRAME = 0x40;
const KERNEL_SLOT = 1;
const MAPPED_SLOT = 2;
const FAULT_SLOT = 3;
const SLOT = 2 ** 39;
const CODE = KERNEL_SLOT * SLOT + CODE_FRAME * PAGE;
const kernelAddress = (gpa: number) => KERNEL_SLOT * SLOT + gpa;

/** A stream with the guest running: its tables, and a page read through the shared ones, so that all are shadowed. */
function started(): RecordEncoder {
  const out = new RecordEncoder();
  const [pdpt, pd, pt] = TABLES;
  const [kernelPdpt, kernelPd, kernelPt] = KERNEL;
  const entry = (frame: number) => frame * PAGE + FLAGS;
  out.cr0(0x8001_0033).cr4(0x20).efer(0xd00);
  out.ptp(ROOT, 4, [
    [KERNEL_SLOT, entry(kernelPdpt)],
    [MAPPED_SLOT, entry(pdpt)],
  ]);
  out.ptp(kernelPdpt, 3, [[0, entry(kernelPd)]]).ptp(kernelPd, 2, [[0, entry(kernelPt)]]);
  out.ptp(
    kernelPt,
    1,
    Array.from({ length: 0x80 }, (_, frame) => [frame, frame * PAGE + CLEAN] as const),
  );
  out
    .ptp(pdpt, 3, [[0, entry(pd)]])
    .ptp(pd, 2, [[0, entry(pt)]])
    .ptp(pt, 1, [[0, entry(DATA_FRAME)]]);
  out.cr3(ROOT * PAGE).mode(0);
  out.fetch(CODE, 4).read(MAPPED_SLOT * SLOT, 8);
  for (const frame of [ROOT, ...TABLES]) out.fetch(CODE, 4).read(kernelAddress(frame * PAGE), 8);
  return out;
}

interface Missing {
  /** The address that faults. */
  va: number;
  /** Entries the handler stores: table frame, index, frame it points to. */
  entries: readonly (readonly [table: number, index: number, frame: number])[];
}

function fault(out: RecordEncoder, { va, entries }: Missing): void {
  out.fetch(CODE, 4).exception(14, 0, CODE, va);
  for (const [table, index, frame] of entries) {
    const gpa = table * PAGE + 8 * index;
    out
      .fetch(CODE, 4)
      .write(kernelAddress(gpa), 8)
      .ptw(gpa, frame * PAGE + USED);
  }
  out.fetch(CODE, 4).read(va, 8);
}

function replay(out: RecordEncoder, set: readonly string[]): MachineResult {
  const machine = new Machine(resolveConfig({ set: [...set, "shadow.prefetch=1"] }));
  machine.feed(out.take());
  return machine.finish();
}

/** Exits that the last of these faults adds. */
function exitsOf(faults: readonly Missing[], set: readonly string[]): number {
  const exits = (n: number) => {
    const out = started();
    for (const missing of faults.slice(0, n)) fault(out, missing);
    const result = replay(out, set);
    const broken = result.laws.find((law) => !law.holds);
    if (broken) throw new Error(`${broken.name}: ${broken.detail}`);
    return result.exits.reduce((sum, e) => sum + e.count, 0);
  };
  return exits(faults.length) - exits(faults.length - 1);
}

const [pdpt, pd, pt] = TABLES;
const leafOf = (slot: number, a: number, b: number, c: number) =>
  slot * SLOT + a * 2 ** 30 + b * 2 ** 21 + c * PAGE;

/** A fault whose handler stores `n` entries, all in tables that are in use. */
function missing(n: number, page: number): Missing {
  const all = [
    [ROOT, FAULT_SLOT, pdpt],
    [pdpt, n >= 3 ? 5 : 0, pd],
    [pd, n >= 2 ? 7 : 0, pt],
    [pt, page, DATA_FRAME + page],
  ] as const;
  const va = leafOf(n === 4 ? FAULT_SLOT : MAPPED_SLOT, n >= 3 ? 5 : 0, n >= 2 ? 7 : 0, page);
  return { va, entries: all.slice(4 - n) };
}

export function exitChecks(): Check[] {
  const checks: Check[] = [];
  const trapAll = ["technique=shadow", "shadow.unsync=false"];
  for (const n of [1, 2, 3, 4]) {
    const exits = exitsOf([missing(n, 9)], trapAll);
    const what = `shadow, every store traps: a guest fault that stores ${n} entries`;
    checks.push(exact(`${what}, exits (n+2)`, n + 2, exits, PVM));
    checks.push(exact(`${what}, world switches 2(n+2)`, 2 * (n + 2), 2 * exits, PVM));
  }
  const unsync = ["technique=shadow"];
  const first = exitsOf([missing(1, 9)], unsync);
  const second = exitsOf([missing(1, 9), missing(1, 10)], unsync);
  checks.push(exact("shadow with unsync: a leaf stored for the first time, exits", 3, first, LINUX));
  checks.push(exact("shadow with unsync: the next leaf of that table, exits", 2, second, LINUX));
  checks.push(exact("shadow with unsync: the next leaf, world switches", 4, 2 * second, LINUX));
  for (const format of ["ept", "npt"]) {
    const set = ["technique=nested", `format=${format}`];
    const twice = { va: leafOf(MAPPED_SLOT, 0, 0, 9), entries: [[pt, 9, DATA_FRAME]] } as const;
    checks.push(
      exact(
        `${format}: a guest fault on a page that the host has backed, exits`,
        0,
        exitsOf([twice], set),
        PVM,
      ),
    );
    const unbacked = exitsOf([missing(1, 9)], set);
    checks.push(exact(`${format}: its page not yet backed, exits`, 1, unbacked, PVM));
    checks.push(exact(`${format}: its page not yet backed, world switches`, 2, 2 * unbacked, PVM));
  }
  return checks;
}
