/** Numbers that are the same on every engine: integer shifts, and only the operations that IEEE 754 fixes to the last bit. */

/** Marsaglia's xorshift64 with shifts 13, 7, 17, in two halves. */
export class Xorshift64 {
  #high: number;
  #low: number;

  constructor(seed: bigint) {
    if (seed <= 0n || seed >> 64n !== 0n) throw new RangeError(`the seed is ${seed}, not 1 to 2^64-1`);
    this.#high = Number(seed >> 32n);
    this.#low = Number(seed & 0xffff_ffffn);
  }

  #step(): void {
    let high = this.#high;
    let low = this.#low;
    high ^= (high << 13) | (low >>> 19);
    low ^= low << 13;
    low ^= (low >>> 7) | (high << 25);
    high ^= high >>> 7;
    high ^= (high << 17) | (low >>> 15);
    low ^= low << 17;
    this.#high = high >>> 0;
    this.#low = low >>> 0;
  }

  /** The next number modulo `n`, 1 to 2^32. */
  below(n: number): number {
    this.#step();
    let rest = this.#high % n;
    rest = (rest * 65_536 + (this.#low >>> 16)) % n;
    return (rest * 65_536 + (this.#low & 0xffff)) % n;
  }

  /** A fraction from 0 to before 1, of 52 bits. */
  fraction(): number {
    this.#step();
    return ((this.#high >>> 0) * 1_048_576 + (this.#low >>> 12)) / 4_503_599_627_370_496;
  }
}

/** ln of a number of at least 1: Math.log may differ in the last bit from engine to engine. */
function logarithm(x: number): number {
  let m = x;
  let doublings = 0;
  for (; m > 1.5; m /= 2) doublings++;
  const z = (m - 1) / (m + 1);
  let sum = 0;
  for (let k = 39, square = z * z; k > 0; k -= 2) sum = sum * square + 1 / k;
  return doublings * Math.LN2 + 2 * z * sum;
}

function exponential(x: number): number {
  const halvings = 10;
  const small = x / 2 ** halvings;
  let sum = 1;
  for (let k = 14; k > 0; k--) sum = 1 + (sum * small) / k;
  for (let i = 0; i < halvings; i++) sum *= sum;
  return sum;
}

/** Ranks 0 to n-1, of which rank r is drawn with a probability in proportion to (r+1)^-skew. */
export class Zipf {
  readonly #sums: Float64Array;

  constructor(n: number, skew: number) {
    this.#sums = new Float64Array(n);
    let sum = 0;
    for (let r = 0; r < n; r++) {
      sum += exponential(-skew * logarithm(r + 1));
      this.#sums[r] = sum;
    }
  }

  draw(random: Xorshift64): number {
    const sums = this.#sums;
    const at = random.fraction() * sums[sums.length - 1]!;
    let low = 0;
    let high = sums.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sums[middle]! <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** A permutation of 0 to n-1 that is one cycle (Sattolo). */
export function cycle(n: number, random: Xorshift64): Uint32Array {
  const next = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = random.below(i);
    const held = next[i]!;
    next[i] = next[j]!;
    next[j] = held;
  }
  return next;
}

/** A permutation of 0 to n-1 (Fisher-Yates). */
export function shuffled(n: number, random: Xorshift64): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const held = order[i]!;
    order[i] = order[j]!;
    order[j] = held;
  }
  return order;
}
