/**
 * The generators of the measurements (README of the hardware tables): 64-bit arithmetic on two 32-bit halves, which
 * is much faster than on BigInt.
 */

/** Result of the last operation. */
let high = 0;
let low = 0;

function multiply(ah: number, al: number, bh: number, bl: number): void {
  const a0 = al & 0xffff;
  const a1 = al >>> 16;
  const b0 = bl & 0xffff;
  const b1 = bl >>> 16;
  const p00 = a0 * b0;
  const p01 = a0 * b1;
  const p10 = a1 * b0;
  const middle = (p00 >>> 16) + (p01 & 0xffff) + (p10 & 0xffff);
  low = ((p00 & 0xffff) | (middle << 16)) >>> 0;
  const carry = a1 * b1 + (p01 >>> 16) + (p10 >>> 16) + (middle >>> 16);
  high = (carry + Math.imul(ah, bl) + Math.imul(al, bh)) >>> 0;
}

/** z ^= z >> shift, for shifts below 32. */
function fold(shift: number): void {
  const h = high;
  low = (low ^ ((low >>> shift) | (h << (32 - shift)))) >>> 0;
  high = (h ^ (h >>> shift)) >>> 0;
}

function mix(h: number, l: number): void {
  high = h;
  low = l;
  fold(30);
  multiply(high, low, 0xbf58476d, 0x1ce4e5b9);
  fold(27);
  multiply(high, low, 0x94d049bb, 0x133111eb);
  fold(31);
}

/** The low 32 bits of hash64(i). */
export function hashLow(i: number): number {
  const l = (i % 0x1_0000_0000) + 0x7f4a7c15;
  mix((Math.floor(i / 0x1_0000_0000) + 0x9e3779b9 + (l > 0xffff_ffff ? 1 : 0)) >>> 0, l >>> 0);
  return low;
}

/** Sattolo's permutation of n nodes: one cycle, the successor of each. n is below 2^21. */
export function permutation(n: number): Uint32Array {
  const next = Uint32Array.from({ length: n }, (_, i) => i);
  let stateHigh = 0x243f6a88;
  let stateLow = (0x85a308d3 ^ n) >>> 0;
  for (let i = n - 1; i >= 1; --i) {
    const l = stateLow + 0x7f4a7c15;
    stateLow = l >>> 0;
    stateHigh = (stateHigh + 0x9e3779b9 + (l > 0xffff_ffff ? 1 : 0)) >>> 0;
    mix(stateHigh, stateLow);
    const j = ((high % i) * 0x1_0000_0000 + low) % i;
    const at = next[i]!;
    next[i] = next[j]!;
    next[j] = at;
  }
  return next;
}

/** A bijection of [0, 2^bits) that looks random; bits from 2 to 30. */
export function scatter(i: number, bits: number, seed: number): number {
  const mask = 2 ** bits - 1;
  const shift = bits >> 1;
  let x = i;
  for (let round = 0; round < 3; ++round) {
    x = (Math.imul(x, 0x9e3779b1) + seed + round) & mask;
    x ^= x >>> shift;
  }
  return x;
}

/** The same of [0, n). */
export function scatterBelow(i: number, n: number, seed: number): number {
  const bits = Math.max(2, Math.ceil(Math.log2(n)));
  let x = i;
  do x = scatter(x, bits, seed);
  while (x >= n);
  return x;
}
