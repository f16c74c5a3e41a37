/**
 * The space of accesses, after kvm-unit-tests' access test (x86/access.c): every combination of the bits below in the
 * last two levels of the tables, in the registers, and in the access. A case is a number; `decode` takes it apart.
 *
 * Entries here are words of flags, not yet in the layout of the architecture (`lowWord`, `highWord`).
 */
export const P = 1;
export const W = 2;
export const U = 4;
export const A = 0x20;
export const D = 0x40;
export const PSE = 0x80;
/** Bit 13, reserved in a 2 MiB leaf. */
export const BIT13 = 0x2000;
export const KEY = 0x1000_0000;
/** Bit 51 and bit 36: beyond MAXPHYADDR. */
export const BIT51 = 0x0100_0000;
export const BIT36 = 0x0200_0000;
export const NX = 0x0400_0000;

export const READ = 0;
export const WRITE = 1;
export const FETCH = 2;
export const USER = 4;
export const IMPLICIT = 8;

/** Bits of the CPU's state. */
export const EFER_NX = 1;
export const CR0_WP = 2;
export const CR4_SMEP = 4;
export const CR4_SMAP = 8;
export const AC = 16;
export const CR4_PKE = 32;
export const PKU_AD = 64;
export const PKU_WD = 128;

const DATA_KINDS = [READ, WRITE, FETCH];

/** CPU state and access, for every combination that can matter: SMAP and AC only where the access is one they rule. */
function statesAndAccesses(): { cpu: number; accesses: number[] }[] {
  const explicit = [
    ...DATA_KINDS,
    ...DATA_KINDS.map((kind) => kind | USER),
    IMPLICIT | READ,
    IMPLICIT | WRITE,
  ];
  const ruled = [READ, WRITE, IMPLICIT | READ, IMPLICIT | WRITE];
  const out = [];
  for (const key of [0, 1, 2, 3, 4]) {
    const pke = key === 0 ? 0 : CR4_PKE | ((key - 1) * PKU_AD);
    for (const base of [0, 1, 2, 3, 4, 5, 6, 7]) {
      out.push({ cpu: pke | base, accesses: explicit });
      out.push({ cpu: pke | base | CR4_SMAP, accesses: ruled });
      out.push({ cpu: pke | base | CR4_SMAP | AC, accesses: ruled });
    }
  }
  return out;
}

function flagsOf(bits: readonly number[], n: number): number {
  return bits.reduce((word, bit, i) => word | ((n >> i) & 1 ? bit : 0), 0);
}

/** Entries in the order that keeps not-present and reserved ones apart, so that the TLB holds something in between. */
function entries(extra: readonly number[]): number[] {
  const out = [];
  for (const more of extra) for (let n = 0; n < 64; ++n) out.push(more | flagsOf([W, U, A, D, NX, P], n));
  return out;
}

export class Cases {
  readonly #states = statesAndAccesses();
  readonly #pairs: { cpu: number; access: number }[];
  readonly #ptes: number[];
  readonly #pdes: number[];
  readonly total: number;

  // The case decoded last.
  cpu = 0;
  access = 0;
  pte = 0;
  pde = 0;
  /** R/W of the level-3 entry above. */
  writable = true;

  constructor(readonly maxphyaddr: number) {
    const high = [...(maxphyaddr <= 51 ? [BIT51] : []), ...(maxphyaddr <= 36 ? [BIT36] : [])];
    this.#ptes = entries([0, ...high].flatMap((bits) => [bits, bits | KEY]));
    /* A key in the level-2 entry is ignored unless it is the leaf: access.c puts a wrong one there. */
    this.#pdes = [
      ...entries([0, ...high]),
      ...entries([0, ...high, BIT13].flatMap((bits) => [bits | PSE, bits | PSE | KEY])),
    ];
    this.#pairs = this.#states.flatMap(({ cpu, accesses }) => accesses.map((access) => ({ cpu, access })));
    this.total = this.#pairs.length * 2 * this.#pdes.length * this.#ptes.length;
  }

  decode(index: number): void {
    const ptes = this.#ptes.length;
    const pdes = this.#pdes.length;
    let rest = Math.floor(index / ptes);
    this.pte = this.#ptes[index - rest * ptes]!;
    let next = Math.floor(rest / pdes);
    this.pde = this.#pdes[rest - next * pdes]!;
    rest = next;
    next = rest >> 1;
    this.writable = (rest & 1) === 0;
    const pair = this.#pairs[next]!;
    this.cpu = pair.cpu;
    this.access = pair.access;
  }
}

/** Bits 31:0 and 63:32 of an entry with these flags. */
export function lowWord(flags: number): number {
  return flags & 0x2fff;
}
export function highWord(flags: number): number {
  return (
    (flags & BIT51 ? 1 << 19 : 0) |
    (flags & BIT36 ? 1 << 4 : 0) |
    (flags & KEY ? 1 << 27 : 0) |
    (flags & NX ? 1 << 31 : 0)
  );
}
