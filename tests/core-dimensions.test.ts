import { describe, expect, it } from "vitest";
import { BareCore, cachesOf, parametersOf } from "../src/conform/bare/core.js";
import type { Access, Ept, Npt, Registers, Stage2 } from "../src/conform/bare/types.js";
import { CR0, CR4, EFER, LONG, READ, WRITE } from "./tlb/machine.js";

const MODES: Record<string, Partial<Registers>> = {
  "paging off": { cr0: CR0.PE, cr4: 0n, efer: 0n },
  "32-bit": { cr4: CR4.PSE, efer: 0n },
  PAE: { cr4: CR4.PAE, efer: 0n },
  "4 levels": {},
  "5 levels": { cr4: LONG.cr4 | CR4.LA57 },
};

const EPT: Ept = {
  kind: "ept",
  root: 0x7000_0000n,
  levels: 4,
  maxphyaddr: 46,
  accessedDirty: true,
  executeOnly: true,
  mbec: false,
};
const NPT: Npt = {
  kind: "npt",
  root: 0x7000_0000n,
  levels: 4,
  maxphyaddr: 46,
  hostEfer: LONG.efer,
  hostCr4: CR4.PAE,
};
const STAGES: Record<string, Stage2> = {
  "no second stage": { kind: "none" },
  "EPT of 4 levels": EPT,
  "EPT of 5 levels": { ...EPT, levels: 5 },
  "NPT of 3 levels": { ...NPT, levels: 3 },
  "NPT of 4 levels": NPT,
  "NPT of 5 levels": { ...NPT, levels: 5, hostCr4: CR4.PAE | CR4.LA57 },
};

const GVA = 0x1234_5678n;
const FRAME = 0x5555_0000n & ~0xfffn;
const HOST = 0x8_0000_0000n;
const LEVELS = { "paging off": 0, "32-bit": 2, PAE: 3, "4 levels": 4, "5 levels": 5 } as const;

/** A guest of a mode that maps GVA to FRAME, over a second stage that maps the first 4 GiB 32 GiB higher. */
function machine(
  mode: keyof typeof LEVELS,
  stage: Stage2,
  regs: Partial<Registers> = {},
  caches = cachesOf(0),
) {
  const all: Registers = { ...LONG, ...MODES[mode], vendor: stage.kind === "npt" ? "amd" : "intel", ...regs };
  const mmu = BareCore.with(parametersOf(all, stage), caches);
  const offset = stage.kind === "none" ? 0n : HOST;
  if (stage.kind !== "none") {
    const leaf = stage.kind === "ept" ? 0xb7n : 0x87n;
    let table = stage.root;
    for (let level: number = stage.levels; level > 2; --level) {
      if (level === 3 && stage.levels > 3) {
        for (let i = 0n; i < 4n; ++i) mmu.write(table + 8n * i, (HOST + (i << 30n)) | leaf);
        break;
      }
      if (level === 3) {
        for (let i = 0n; i < 4n; ++i) {
          mmu.write(table + 8n * i, (table + 0x1000n + (i << 12n)) | 1n);
          for (let j = 0n; j < 512n; ++j)
            mmu.write(table + 0x1000n + (i << 12n) + 8n * j, (HOST + (i << 30n) + (j << 21n)) | leaf);
        }
        break;
      }
      mmu.write(table, (table + 0x1000n) | 7n);
      table += 0x1000n;
    }
  }
  const levels = LEVELS[mode];
  const bytes = mode === "32-bit" ? 4 : 8;
  let table = 0x10_0000n;
  const pdptes: [bigint, bigint, bigint, bigint] = [0n, 0n, 0n, 0n];
  for (let level: number = levels; level >= 1; --level) {
    const shift = BigInt(12 + (bytes === 4 ? 10 : 9) * (level - 1));
    const mask = mode === "PAE" && level === 3 ? 3n : bytes === 4 ? 0x3ffn : 0x1ffn;
    const index = (GVA >> shift) & mask;
    const next = level === 1 ? FRAME : table + 0x1000n;
    const entry = next | (mode === "PAE" && level === 3 ? 1n : 7n);
    mmu.write(offset + table + BigInt(bytes) * index, entry, bytes);
    if (mode === "PAE" && level === 3) pdptes[Number(index)] = entry;
    table = next;
  }
  mmu.setState({ ...all, cr3: 0x10_0000n, pdptes }, stage);
  return { mmu, hpa: offset + (levels === 0 ? GVA : FRAME | (GVA & 0xfffn)) };
}

describe("every mode of the guest over every second stage", () => {
  const pairs = Object.keys(LEVELS).flatMap((mode) =>
    Object.keys(STAGES).map((stage) => [mode, stage] as const),
  );

  it.each(pairs)("%s, %s", (mode, stage) => {
    const { mmu, hpa } = machine(mode as keyof typeof LEVELS, STAGES[stage]!);
    for (const access of [READ, WRITE, { ...READ, kind: "fetch" }] as Access[]) {
      expect(mmu.walk(GVA, access)).toMatchObject({ ok: true, hpa });
      expect(mmu.access(GVA, access)).toMatchObject({ ok: true, hpa });
      expect(mmu.access(GVA, access)).toMatchObject({ ok: true, hpa, references: 0 });
    }
  });

  it.each(pairs)(
    "%s, %s: references of a cold walk are (G+1)(H+1)-1 less what is loaded or maps large",
    (mode, stage) => {
      const { mmu } = machine(mode as keyof typeof LEVELS, STAGES[stage]!, {}, []);
      const second = STAGES[stage]!;
      const registers = mode === "PAE" && second.kind !== "npt" ? 1 : 0;
      const guest = LEVELS[mode as keyof typeof LEVELS] - registers;
      const host = second.kind === "none" ? 0 : second.levels === 3 ? 2 : second.levels - 2;
      expect(mmu.walk(GVA, READ)).toMatchObject({ references: (guest + 1) * (host + 1) - 1 });
    },
  );
});

describe("physical-address widths of guest and host", () => {
  const leafOf = (mmu: BareCore) => {
    const offset = HOST;
    let table = 0x10_0000n;
    for (let level = 4; level > 1; --level) {
      table = mmu.read(offset + table + 8n * ((GVA >> BigInt(3 + 9 * level)) & 0x1ffn)) & ~0xfffn;
    }
    return offset + table + 8n * ((GVA >> 12n) & 0x1ffn);
  };

  it.each([
    [36, 46, 36n, { fault: "PF", errorCode: 9 }],
    [36, 46, 35n, { exit: "EPT_VIOLATION" }],
    [46, 36, 40n, { exit: "EPT_VIOLATION" }],
    [52, 52, 51n, { exit: "EPT_VIOLATION" }],
    [40, 36, 40n, { fault: "PF", errorCode: 9 }],
  ])("guest %i, host %i, bit %i of the guest's leaf", (guest, host, bit, expected) => {
    const { mmu } = machine("4 levels", { ...EPT, maxphyaddr: host }, { maxphyaddr: guest });
    const leaf = leafOf(mmu);
    mmu.write(leaf, mmu.read(leaf) | (1n << bit));
    expect(mmu.walk(GVA, READ)).toMatchObject(expected);
  });

  it.each([
    [36, 36n, { exit: "EPT_MISCONFIG" }],
    [40, 40n, { exit: "EPT_MISCONFIG" }],
    [40, 39n, { ok: true }],
    [52, 51n, { ok: true }],
  ])("host %i: bit %i of an EPT entry", (host, bit, expected) => {
    const { mmu } = machine("4 levels", { ...EPT, maxphyaddr: host });
    for (let i = 0n; i < 4n; ++i) {
      const at = EPT.root + 0x1000n + 8n * i;
      if (i === FRAME >> 30n) mmu.write(at, mmu.read(at) | (1n << bit));
    }
    expect(mmu.walk(GVA, READ)).toMatchObject(expected);
  });
});

describe("what a CPU supports", () => {
  it("bit 8 of an upper entry is reserved for AMD, ignored by Intel", () => {
    for (const [vendor, expected] of [
      ["intel", { ok: true }],
      ["amd", { fault: "PF", errorCode: 9 }],
    ] as const) {
      const { mmu } = machine("4 levels", { kind: "none" }, { vendor });
      mmu.write(0x10_0000n, mmu.read(0x10_0000n) | 0x100n);
      expect(mmu.walk(GVA, READ)).toMatchObject(expected);
    }
  });

  it("1 GiB pages", () => {
    for (const [gbPages, expected] of [
      [true, { ok: true, hpa: GVA & 0x3fff_ffffn }],
      [false, { fault: "PF", errorCode: 9 }],
    ] as const) {
      const { mmu } = machine("4 levels", { kind: "none" }, { gbPages });
      mmu.write(0x10_1000n, 0x87n);
      expect(mmu.walk(GVA, READ)).toMatchObject(expected);
    }
  });

  it("PSE-36: bits 39:32 of a 4 MiB page, as many as the CPU has", () => {
    for (const [maxphyaddr, expected] of [
      [36, { ok: true, hpa: 0xf_1234_5678n }],
      [34, { fault: "PF", errorCode: 9 }],
    ] as const) {
      const { mmu } = machine("32-bit", { kind: "none" }, { maxphyaddr });
      mmu.write(0x10_0000n + 4n * (GVA >> 22n), (GVA & ~0x3f_ffffn) | (0xfn << 13n) | 0x87n, 4);
      expect(mmu.walk(GVA, READ)).toMatchObject(expected);
    }
  });

  it("without CR4.PSE the PS bit of a 32-bit entry is ignored", () => {
    const { mmu, hpa } = machine("32-bit", { kind: "none" }, { cr4: 0n });
    const at = 0x10_0000n + 4n * (GVA >> 22n);
    mmu.write(at, mmu.read(at, 4) | 0x80n, 4);
    expect(mmu.walk(GVA, READ)).toMatchObject({ ok: true, hpa });
    expect(EFER.NXE).toBeGreaterThan(0n);
  });
});
