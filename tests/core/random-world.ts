import { CR0, CR4, EFER, pagingMode } from "../reference/registers.js";
import { type Access, PhysicalMemory, type Registers, type Stage2 } from "../reference/walker.js";

/** mulberry32: small, seeded, the same everywhere. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  below(n: number): number {
    return Math.floor(this.next() * n);
  }
  chance(p: number): boolean {
    return this.next() < p;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
  bits(n: number): bigint {
    let value = 0n;
    for (let i = 0; i < n; i += 16) value = (value << 16n) | BigInt(this.below(65536));
    return BigInt.asUintN(n, value);
  }
}

const FRAME = 0x000f_ffff_ffff_f000n;

export interface RandomWorld {
  memory: PhysicalMemory;
  regs: Registers;
  stage2: Stage2;
  gvas: bigint[];
  accesses: Access[];
}

/** Bits worth flipping in an entry: those that some rule looks at, and a few that none may. */
const ENTRY_BITS = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 20, 21, 29, 30, 36, 40, 46, 51, 52, 57, 59, 60, 62, 63,
];

/**
 * One to three pages mapped at random under a random mode, with a few bits of a few entries flipped: most walks
 * come far, and many meet a fault that several rules compete for.
 */
export function randomWorld(seed: number): RandomWorld {
  const r = new Random(seed);
  const mode = r.pick(["none", "32-bit", "pae", "4-level", "4-level", "5-level"] as const);
  const bit = (mask: bigint, p = 0.5) => (r.chance(p) ? mask : 0n);
  const stage = r.pick(["none", "none", "ept", "ept", "npt"] as const);
  const regs: Registers = {
    cr0: 1n | (mode === "none" ? 0n : CR0.PG) | bit(CR0.WP),
    cr3: 0n,
    cr4:
      (mode === "none" || mode === "32-bit" ? 0n : CR4.PAE) |
      (mode === "5-level" ? CR4.LA57 : 0n) |
      bit(CR4.PSE) |
      bit(CR4.SMEP) |
      bit(CR4.SMAP) |
      bit(CR4.PKE) |
      bit(CR4.PKS, 0.3),
    efer: (mode === "4-level" || mode === "5-level" ? EFER.LME | EFER.LMA : 0n) | bit(EFER.NXE, 0.8),
    pkru: r.bits(32) & r.bits(32),
    pkrs: r.bits(32) & r.bits(32),
    ac: r.chance(0.5),
    cpl: 0,
    maxphyaddr: r.pick([36, 40, 46, 52]),
    vendor: stage === "ept" ? "intel" : stage === "npt" ? "amd" : r.pick(["intel", "amd"] as const),
    gbPages: r.chance(0.8),
  };
  if (regs.cr0 & CR0.WP) regs.cr4 |= bit(CR4.CET, 0.3);
  const hostWidth = r.pick([36, 40, 46, 52]);
  const hostLevels = r.pick([4, 4, 5] as const);
  const root = 0x7000_0000n;
  const stage2: Stage2 =
    stage === "none"
      ? { kind: "none" }
      : stage === "ept"
        ? {
            kind: "ept",
            root,
            levels: hostLevels,
            maxphyaddr: hostWidth,
            accessedDirty: r.chance(0.5),
            executeOnly: r.chance(0.5),
            mbec: r.chance(0.5),
            advancedInformation: r.chance(0.5),
          }
        : {
            kind: "npt",
            root,
            levels: hostLevels,
            maxphyaddr: hostWidth,
            hostEfer: EFER.LME | EFER.LMA | bit(EFER.NXE),
            hostCr4: CR4.PAE | (hostLevels === 5 ? CR4.LA57 : 0n),
          };

  const memory = new PhysicalMemory();
  const flip = (entry: bigint, p: number, bytes: 4 | 8): bigint => {
    let value = entry;
    while (r.chance(p)) value ^= 1n << BigInt(r.pick(ENTRY_BITS.filter((b) => b < bytes * 8)));
    return value;
  };

  let hostTables = 0n;
  let hostFrames = 0n;
  const backed = new Map<bigint, bigint>();
  /** Host address of a guest-physical one, with a path of second-stage entries for it. */
  const back = (gpa: bigint, flips: number): bigint => {
    if (stage2.kind === "none") return gpa;
    const page = gpa >> 12n;
    const known = backed.get(page);
    if (known !== undefined) return known | (gpa & 0xfffn);
    let table = stage2.root;
    const ept = stage2.kind === "ept";
    const leafLevel = r.chance(0.7) ? 1 : r.pick([2, 3]);
    for (let level = stage2.levels as number; level >= 1; --level) {
      const at = table + 8n * ((gpa >> BigInt(3 + 9 * level)) & 0x1ffn);
      const present = memory.read64(at);
      if (present !== 0n) {
        if (level > 1 && present & 0x80n) {
          const size = 1n << BigInt(3 + 9 * level);
          return (present & FRAME & ~(size - 1n)) | (gpa & (size - 1n));
        }
        if (level === 1) return (present & FRAME) | (gpa & 0xfffn);
        table = present & FRAME;
        continue;
      }
      const rights = ept ? (r.chance(0.9) ? 0x7n : r.bits(3)) | bit(0x400n, 0.7) : 7n;
      if (level <= leafLevel) {
        const size = 1n << BigInt(3 + 9 * level);
        const frame = (0x9000_0000n + 0x4000_0000n * ++hostFrames) & ~(size - 1n) & ((1n << 36n) - 1n);
        const leaf =
          frame | rights | (ept ? 0x30n : 0n) | (level > 1 ? 0x80n : 0n) | bit(ept ? 0x300n : 0x60n, 0.3);
        memory.write64(at, flip(leaf, flips, 8));
        const hpa = frame | (gpa & (size - 1n));
        if (level === 1) backed.set(page, frame);
        return hpa;
      }
      const next = 0x7000_0000n + 0x1000n * ++hostTables;
      memory.write64(at, flip(next | rights | bit(ept ? 0x100n : 0x20n, 0.3), flips / 2, 8));
      table = next;
    }
    throw new Error("unreachable");
  };

  const flips = r.pick([0, 0.05, 0.15, 0.3]);
  const legacy = mode === "32-bit";
  const bytes = legacy ? 4 : 8;
  const levels = { none: 0, "32-bit": 2, pae: 3, "4-level": 4, "5-level": 5 }[mode];
  let guestTables = 0n;
  const cr3 = 0x1000_0000n + (mode === "pae" ? 0x20n * BigInt(r.below(128)) : 0n);
  regs.cr3 = cr3;
  const pdptes: [bigint, bigint, bigint, bigint] = [0n, 0n, 0n, 0n];
  const gvas: bigint[] = [];

  const map = (gva: bigint) => {
    let table = cr3;
    const leafLevel = r.chance(0.6) ? 1 : r.pick(legacy || mode === "pae" ? [2] : [2, 3]);
    for (let level = levels; level >= 1; --level) {
      const width = legacy ? 10 : 9;
      const shift = BigInt(12 + width * (level - 1));
      const mask = mode === "pae" && level === 3 ? 3n : (1n << BigInt(width)) - 1n;
      const index = (gva >> shift) & mask;
      const gpa = table + index * BigInt(bytes);
      const registered = mode === "pae" && level === 3;
      const hpa = back(gpa, flips / 3);
      const there = memory.read(hpa, bytes);
      if (there !== 0n) {
        if (level === 1 || (level <= leafLevel && there & 0x80n)) return;
        table = there & (legacy ? 0xffff_f000n : FRAME);
        continue;
      }
      const flags = registered ? 1n : 1n | bit(2n, 0.85) | bit(4n, 0.7) | bit(0x20n, 0.4);
      if (level <= leafLevel) {
        const size = 1n << shift;
        const frame = (0x4000_0000n + 0x40_0000n * BigInt(r.below(64))) & ~(size - 1n);
        const key = levels >= 4 ? BigInt(r.below(16)) << 59n : 0n;
        const leaf = frame | flags | key | (level > 1 ? 0x80n : 0n) | bit(0x40n, 0.4) | bit(0x100n, 0.2);
        memory.write(hpa, flip(leaf, flips, bytes), bytes);
        back(frame | (gva & (size - 1n)), flips / 2);
        return;
      }
      const next = 0x1000_0000n + 0x1000n * ++guestTables;
      const entry = registered ? next | 1n : flip(next | flags, flips / 2, bytes);
      memory.write(hpa, entry, bytes);
      if (registered) pdptes[Number(index)] = r.chance(0.9) ? entry : 0n;
      table = next;
    }
  };

  for (let i = 1 + r.below(3); i > 0; --i) {
    let gva: bigint;
    if (mode === "none" || legacy || mode === "pae") gva = r.bits(32);
    else {
      const width = levels === 5 ? 57 : 48;
      gva = BigInt.asUintN(64, BigInt.asIntN(width, r.bits(width)));
      if (r.chance(0.03)) gva ^= 1n << BigInt(width - 1 + r.below(64 - width));
    }
    if (gvas.length > 0 && r.chance(0.5)) gva = gvas[0]! ^ (1n << BigInt(12 + r.below(12)));
    gvas.push(gva);
    if (mode === "none") back(gva, flips);
    else map(gva);
  }
  if (pagingMode(regs) === "pae") regs.pdptes = pdptes;

  const accesses = Array.from({ length: 1 + r.below(4) }, (): Access => {
    const kind = r.pick(["read", "write", "fetch"] as const);
    const implicit = kind !== "fetch" && r.chance(0.15);
    const user = !implicit && r.chance(0.5);
    const shadowStack = kind !== "fetch" && !implicit && (regs.cr4 & CR4.CET) !== 0n && r.chance(0.3);
    return shadowStack ? { kind, user, implicit, shadowStack } : { kind, user, implicit };
  });
  return { memory, regs, stage2, gvas, accesses };
}
