import { InflateError } from "../inflate.js";

/**
 * LZMA as LZMA2 chunks use it (Igor Pavlov, LZMA SDK "lzma-specification.txt"; the division of work is that of
 * xz-embedded: a chunk is decoded up to a limit in a circular dictionary).
 */

const STATES = 12;
const POS_STATES = 16;
const MATCH_MIN = 2;
// Where each group of probabilities lies in one table.
const IS_MATCH = 0;
const IS_REP = IS_MATCH + STATES * POS_STATES;
const IS_REP0 = IS_REP + STATES;
const IS_REP1 = IS_REP0 + STATES;
const IS_REP2 = IS_REP1 + STATES;
const IS_REP0_LONG = IS_REP2 + STATES;
const DIST_SLOT = IS_REP0_LONG + STATES * POS_STATES;
const DIST_SPECIAL = DIST_SLOT + 4 * 64;
const DIST_ALIGN = DIST_SPECIAL + 128;
const LENGTHS = DIST_ALIGN + 16;
// A length coder: choice, choice2, low and mid by pos state, high.
const LENGTH_LOW = 2;
const LENGTH_MID = LENGTH_LOW + POS_STATES * 8;
const LENGTH_HIGH = LENGTH_MID + POS_STATES * 8;
const LENGTH_SIZE = LENGTH_HIGH + 256;
const LITERALS = LENGTHS + 2 * LENGTH_SIZE;
const TABLE = LITERALS + (0x300 << 4);
const MIN = 0x8000_0000 | 0;

export class LzmaDecoder {
  readonly dictionary: Uint8Array;
  /** Where the next byte goes. */
  at = 0;
  /** Bytes of the dictionary that hold data. */
  #full = 0;
  #probs = new Uint16Array(TABLE);
  #state = 0;
  #rep0 = 0;
  #rep1 = 0;
  #rep2 = 0;
  #rep3 = 0;
  #lc = 0;
  #lpMask = 0;
  #pbMask = 0;
  #range = 0;
  #code = 0;
  #input: Uint8Array = new Uint8Array(0);
  #next = 0;
  /** Bytes of a match that did not fit before the limit. */
  #pending = 0;

  constructor(dictionaryBytes: number) {
    this.dictionary = new Uint8Array(dictionaryBytes);
  }

  resetDictionary(): void {
    this.#full = 0;
    this.at = 0;
  }

  resetState(): void {
    this.#probs.fill(1024);
    this.#state = 0;
    this.#rep0 = this.#rep1 = this.#rep2 = this.#rep3 = 0;
  }

  /** False for properties that LZMA2 does not allow. */
  setProperties(byte: number): boolean {
    if (byte > 224) return false;
    const lc = byte % 9;
    const rest = (byte - lc) / 9;
    const lp = rest % 5;
    const pb = (rest - lp) / 5;
    if (lc + lp > 4) return false;
    this.#lc = lc;
    this.#lpMask = (1 << lp) - 1;
    this.#pbMask = (1 << pb) - 1;
    return true;
  }

  /** Starts a chunk of compressed bytes, whole. */
  begin(input: Uint8Array): void {
    this.#input = input;
    this.#range = -1;
    this.#code = (input[1]! << 24) | (input[2]! << 16) | (input[3]! << 8) | input[4]!;
    this.#next = 5;
    this.#pending = 0;
  }

  /** True when the chunk has been used up exactly as it should. */
  get finished(): boolean {
    return this.#pending === 0 && this.#next === this.#input.length && this.#code === 0;
  }

  /** Bytes that were stored as they are. */
  copy(bytes: Uint8Array): void {
    this.dictionary.set(bytes, this.at);
    this.#advance(bytes.length);
  }

  #advance(count: number): void {
    this.at += count;
    this.#full = Math.min(this.dictionary.length, this.#full + count);
  }

  /** Decodes until `limit` of the dictionary, which the chunk must reach. */
  decode(limit: number): void {
    const start = this.at;
    const dictionary = this.dictionary;
    const size = dictionary.length;
    let at = start;
    if (this.#pending > 0) at = this.#repeat(at, limit);
    while (at < limit) {
      const state = this.#state;
      // Dictionary sizes are multiples of 16, so the place in it tells the position modulo 16.
      const posState = at & this.#pbMask;
      if (this.#bit(IS_MATCH + state * POS_STATES + posState) === 0) {
        const full = this.#full + (at - start);
        const previous = full > 0 ? dictionary[(at > 0 ? at : size) - 1]! : 0;
        const place = at & this.#lpMask;
        const table = LITERALS + 0x300 * ((place << this.#lc) + (previous >> (8 - this.#lc)));
        let symbol = 1;
        if (state >= 7) {
          if (this.#rep0 >= full) this.#fail();
          let match = dictionary[at - this.#rep0 - 1 + (at <= this.#rep0 ? size : 0)]!;
          let offset = 0x100;
          while (symbol < 0x100) {
            match <<= 1;
            const matchBit = match & offset;
            const bit = this.#bit(table + offset + matchBit + symbol);
            symbol = (symbol << 1) | bit;
            offset &= bit ? matchBit : ~matchBit;
          }
        } else {
          while (symbol < 0x100) symbol = (symbol << 1) | this.#bit(table + symbol);
        }
        dictionary[at++] = symbol;
        this.#state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
        continue;
      }
      if (this.#bit(IS_REP + state) === 0) {
        this.#rep3 = this.#rep2;
        this.#rep2 = this.#rep1;
        this.#rep1 = this.#rep0;
        const length = this.#length(LENGTHS, posState);
        this.#state = state < 7 ? 7 : 10;
        this.#rep0 = this.#distance(length);
        this.#pending = length;
      } else {
        if (this.#bit(IS_REP0 + state) === 0) {
          if (this.#bit(IS_REP0_LONG + state * POS_STATES + posState) === 0) {
            this.#state = state < 7 ? 9 : 11;
            this.#pending = 1;
          }
        } else {
          let distance: number;
          if (this.#bit(IS_REP1 + state) === 0) distance = this.#rep1;
          else {
            if (this.#bit(IS_REP2 + state) === 0) distance = this.#rep2;
            else {
              distance = this.#rep3;
              this.#rep3 = this.#rep2;
            }
            this.#rep2 = this.#rep1;
          }
          this.#rep1 = this.#rep0;
          this.#rep0 = distance;
        }
        if (this.#pending === 0) {
          this.#state = state < 7 ? 8 : 11;
          this.#pending = this.#length(LENGTHS + LENGTH_SIZE, posState);
        }
      }
      const full = Math.min(size, this.#full + (at - start));
      if (this.#rep0 >>> 0 >= full) this.#fail();
      at = this.#repeat(at, limit);
    }
    this.#normalise();
    this.at = start;
    this.#advance(at - start);
  }

  #repeat(at: number, limit: number): number {
    const dictionary = this.dictionary;
    const size = dictionary.length;
    const count = Math.min(this.#pending, limit - at);
    let from = at - this.#rep0 - 1;
    if (from < 0) from += size;
    this.#pending -= count;
    if (from < at && from + count <= at) {
      dictionary.copyWithin(at, from, from + count);
      return at + count;
    }
    for (let i = 0; i < count; i++) {
      dictionary[at++] = dictionary[from++]!;
      if (from === size) from = 0;
    }
    return at;
  }

  #length(coder: number, posState: number): number {
    if (this.#bit(coder) === 0) return MATCH_MIN + this.#tree(coder + LENGTH_LOW + posState * 8, 3);
    if (this.#bit(coder + 1) === 0) return MATCH_MIN + 8 + this.#tree(coder + LENGTH_MID + posState * 8, 3);
    return MATCH_MIN + 16 + this.#tree(coder + LENGTH_HIGH, 8);
  }

  #distance(length: number): number {
    const slots = DIST_SLOT + 64 * Math.min(length - MATCH_MIN, 3);
    const slot = this.#tree(slots, 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1;
    let distance = (2 | (slot & 1)) << bits;
    if (slot < 14) {
      const base = DIST_SPECIAL + distance - slot - 1;
      let symbol = 1;
      for (let i = 0; i < bits; i++) {
        const bit = this.#bit(base + symbol);
        symbol = (symbol << 1) | bit;
        distance += bit << i;
      }
      return distance;
    }
    for (let i = bits - 1; i >= 4; i--) {
      this.#normalise();
      this.#range >>>= 1;
      const below = (this.#code ^ MIN) < (this.#range ^ MIN);
      if (!below) {
        this.#code = (this.#code - this.#range) | 0;
        distance |= 1 << i;
      }
    }
    let symbol = 1;
    for (let i = 0; i < 4; i++) {
      const bit = this.#bit(DIST_ALIGN + symbol);
      symbol = (symbol << 1) | bit;
      distance |= bit << i;
    }
    return distance;
  }

  #tree(base: number, bits: number): number {
    let symbol = 1;
    for (let i = 0; i < bits; i++) symbol = (symbol << 1) | this.#bit(base + symbol);
    return symbol - (1 << bits);
  }

  #normalise(): void {
    if (this.#range >>> 24 === 0) {
      if (this.#next >= this.#input.length) this.#fail();
      this.#range <<= 8;
      this.#code = (this.#code << 8) | this.#input[this.#next++]!;
    }
  }

  #bit(index: number): number {
    this.#normalise();
    const p = this.#probs[index]!;
    const bound = Math.imul(this.#range >>> 11, p);
    if ((this.#code ^ MIN) < (bound ^ MIN)) {
      this.#range = bound;
      this.#probs[index] = p + ((2048 - p) >> 5);
      return 0;
    }
    this.#range = (this.#range - bound) | 0;
    this.#code = (this.#code - bound) | 0;
    this.#probs[index] = p - (p >> 5);
    return 1;
  }

  #fail(): never {
    throw new InflateError("impossible LZMA data", -1);
  }
}
