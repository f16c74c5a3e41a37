import { describe, expect, it } from "vitest";
import { BareCore, cachesOf, parametersOf, pscArray } from "../src/conform/bare/core.js";
import {
  A,
  CR4,
  D,
  FETCH,
  LONG,
  P,
  PS,
  READ,
  RW,
  US,
  USER_READ,
  USER_WRITE,
  WRITE,
  XD,
} from "./tlb/machine.js";

const VA = 0x80_4020_0000n;
const FRAME = 0x1_4000_0000n;

/** A machine whose paging-structure caches also keep large leaves, without TLBs in front of them. */
function machine(leaf: bigint, cr4 = LONG.cr4) {
  const arrays = [0, 1, 2, 3].flatMap((i) => pscArray(i, 32, 0));
  const mmu = BareCore.with(parametersOf(LONG, { kind: "none" }, { pscLeaves: 3 }), arrays);
  const flags = P | RW | US | A;
  mmu.write(0x1000n + 8n, 0x2000n | flags);
  mmu.write(0x2000n + 8n, 0x3000n | flags);
  mmu.write(0x3000n + 8n, FRAME | PS | leaf);
  mmu.setState({ ...LONG, cr3: 0x1000n, cr4 });
  return mmu;
}

describe("a large leaf in a paging-structure cache", () => {
  it("is found without a reference", () => {
    const mmu = machine(P | RW | US | A);
    expect(mmu.access(VA, READ)).toMatchObject({ ok: true, references: 3 });
    expect(mmu.access(VA + 0x12_3456n, READ)).toMatchObject({
      ok: true,
      hpa: FRAME + 0x12_3456n,
      references: 0,
    });
  });

  it("is read again for the first write, which sets its dirty flag", () => {
    const mmu = machine(P | RW | US | A);
    mmu.access(VA, READ);
    expect(mmu.access(VA, WRITE)).toMatchObject({ ok: true, references: 1 });
    expect(mmu.read(0x3008n) & D).toBe(D);
    expect(mmu.access(VA, WRITE)).toMatchObject({ ok: true, references: 0 });
  });

  it("keeps its rights", () => {
    const mmu = machine(P | A | XD);
    mmu.access(VA, READ);
    expect(mmu.access(VA, READ)).toMatchObject({ ok: true, references: 0 });
    expect(mmu.access(VA, WRITE)).toMatchObject({ fault: "PF", errorCode: 3 });
    mmu.access(VA, READ);
    expect(mmu.access(VA, USER_READ)).toMatchObject({ fault: "PF", errorCode: 5 });
    mmu.access(VA, READ);
    expect(mmu.access(VA, FETCH)).toMatchObject({ fault: "PF", errorCode: 0x11 });
  });

  it("keeps its protection key and its shadow stack", () => {
    const keyed = machine(P | RW | US | A | D | (5n << 59n), LONG.cr4 | CR4.PKE);
    keyed.access(VA, USER_READ);
    keyed.load("pkru", 1n << 10n);
    expect(keyed.access(VA, USER_READ)).toMatchObject({ fault: "PF", errorCode: 0x25 });
    const stack = machine(P | US | A | D, LONG.cr4 | CR4.CET);
    const access = { ...USER_WRITE, shadowStack: true };
    expect(stack.access(VA, access)).toMatchObject({ ok: true });
    expect(stack.access(VA, access)).toMatchObject({ ok: true });
    stack.access(VA, USER_READ);
    expect(stack.access(VA, access)).toMatchObject({ ok: true });
  });

  it("goes with INVLPG of any of its addresses", () => {
    const mmu = machine(P | RW | US | A);
    mmu.access(VA, READ);
    mmu.write(0x3008n, 0n);
    expect(mmu.access(VA, READ)).toMatchObject({ ok: true });
    mmu.invlpg(VA + 0x1f_ffffn);
    expect(mmu.access(VA, READ)).toMatchObject({ fault: "PF" });
    expect(cachesOf(0).length).toBeGreaterThan(0);
  });
});
