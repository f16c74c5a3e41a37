import { EventType, FETCH_RUN_MAX, HOST_FRAMES_MAX, LABEL_BYTES_MAX } from "./records.js";

/** A 64-bit value: a bigint, or a number from 0 to 2^53-1. A negative bigint stands for its two's complement. */
export type U64 = number | bigint;

export interface AccessFlags {
  /** Done by the CPU itself while it delivers an exception. */
  cpu?: boolean;
  /** Device memory. */
  device?: boolean;
}

const MAX = 0x1_0000_0000;

function check(x: number, min: number, max: number, what: string): number {
  if (!Number.isInteger(x) || x < min || x > max) throw new RangeError(`${what} is ${x}, not ${min}-${max}`);
  return x;
}

function high(x: U64): number {
  if (typeof x === "bigint") return Number((x >> 32n) & 0xffff_ffffn);
  if (!Number.isSafeInteger(x) || x < 0)
    throw new RangeError(`${x} is no number from 0 to 2^53-1; use a bigint`);
  return Math.floor(x / MAX);
}

function low(x: U64): number {
  return typeof x === "number" ? x % MAX : Number(x & 0xffff_ffffn);
}

/**
 * Writes a record stream (traces/FORMAT.md). Keeps the delta bases and the counts that END states.
 * Methods throw RangeError for a value that the format cannot hold.
 */
export class RecordEncoder {
  fetches = 0;
  reads = 0;
  writes = 0;
  /** Records written, of every kind. */
  events = 0;
  #out = new Uint8Array(1 << 12);
  #at = 0;
  #fetchHi = 0;
  #fetchLo = 0;
  #dataHi = 0;
  #dataLo = 0;
  #ptwHi = 0;
  #ptwLo = 0;

  /** Bytes held and not yet taken. */
  get length(): number {
    return this.#at;
  }

  /** The bytes written since the last call; the delta bases go on. */
  take(): Uint8Array {
    const bytes = this.#out.slice(0, this.#at);
    this.#at = 0;
    return bytes;
  }

  /**
   * Goes back to where `length` and `events` were before a record that could not be written: what is held then ends with
   * a whole record.
   */
  rewind(length: number, events: number): void {
    this.#at = Math.min(this.#at, length);
    this.events = events;
  }

  /** An executed instruction of `length` 1-15 bytes at `gva`. */
  fetch(gva: U64, length: number): this {
    check(length, 1, 15, "instruction length");
    this.#room(16);
    const hi = high(gva);
    const lo = low(gva);
    if (hi === this.#fetchHi && lo === this.#fetchLo) this.#byte((length << 2) | 0x40);
    else {
      this.#byte(length << 2);
      this.#delta(hi, lo, this.#fetchHi, this.#fetchLo);
    }
    const end = lo + length;
    this.#fetchLo = end % MAX;
    this.#fetchHi = end >= MAX ? (hi + 1) % MAX : hi;
    this.fetches++;
    this.events++;
    return this;
  }

  /** A load of `size` bytes: 1, 2, 4 ... 128. */
  read(gva: U64, size: number, flags: AccessFlags = {}): this {
    this.#data(1, gva, size, flags);
    this.reads++;
    return this;
  }

  /** A store of `size` bytes: 1, 2, 4 ... 128. */
  write(gva: U64, size: number, flags: AccessFlags = {}): this {
    this.#data(2, gva, size, flags);
    this.writes++;
    return this;
  }

  cr0(value: U64): this {
    return this.#event(EventType.CR0).#uv(value);
  }
  /** The raw operand: PCID in bits 0-11, no-flush in bit 63. */
  cr3(value: U64): this {
    return this.#event(EventType.CR3).#uv(value);
  }
  cr4(value: U64): this {
    return this.#event(EventType.CR4).#uv(value);
  }
  efer(value: U64): this {
    return this.#event(EventType.EFER).#uv(value);
  }
  pkru(value: number): this {
    return this.#event(EventType.PKRU).#uv(check(value, 0, MAX - 1, "PKRU"));
  }
  /** The mode that the accesses from here on run in: CPL 0-3 and EFLAGS.AC. */
  mode(cpl: number, ac = false): this {
    return this.#event(EventType.MODE).#byte(check(cpl, 0, 3, "CPL") | (ac ? 4 : 0));
  }
  invlpg(gva: U64): this {
    return this.#event(EventType.INVLPG).#uv(gva);
  }
  /** `type` 0 one address, 1 one PCID, 2 all with globals, 3 all but globals. */
  invpcid(type: number, pcid: U64, gva: U64): this {
    return this.#event(EventType.INVPCID)
      .#uv(check(type, 0, 3, "INVPCID type"))
      .#uv(pcid)
      .#uv(gva);
  }
  exception(vector: number, errorCode: U64, rip: U64, cr2: U64): this {
    this.#event(EventType.EXC).#byte(check(vector, 0, 255, "vector"));
    return this.#uv(errorCode).#uv(rip).#uv(cr2);
  }
  cr2(value: U64): this {
    return this.#event(EventType.CR2).#uv(value);
  }
  /**
   * Guest frame `gfn` is a page table of `level` 1-5 (1 = PT, 4 = PML4) from now on, with these entries; the others
   * are 0. Indices are 0-511.
   */
  ptp(gfn: U64, level: number, entries: Iterable<readonly [index: number, value: U64]> = []): this {
    const sorted = [...new Map(entries)].sort(([a], [b]) => a - b);
    this.#event(EventType.PTP)
      .#uv(gfn)
      .#byte(check(level, 1, 5, "level"))
      .#uv(sorted.length);
    let last = 0;
    for (const [index, value] of sorted) {
      this.#uv(check(index, last, 511, "entry index") - last).#uv(value);
      last = index;
    }
    return this;
  }
  /** Guest frame `gfn` is no longer a page table. */
  ptpDrop(gfn: U64): this {
    return this.#event(EventType.PTPDROP).#uv(gfn);
  }
  /** The 8-byte entry at `gpa` (a multiple of 8) after a guest store to a known page-table page. */
  ptw(gpa: U64, value: U64): this {
    const hi = high(gpa);
    const lo = low(gpa);
    if (lo & 7) throw new RangeError(`PTW address ${gpa} is not a multiple of 8`);
    this.#event(EventType.PTW);
    // (gpa - previous) / 8 as the recorder computes it: a 64-bit difference, shifted arithmetically.
    const borrow = lo < this.#ptwLo ? 1 : 0;
    const dLo = (lo - this.#ptwLo) | 0;
    const dHi = (hi - this.#ptwHi - borrow) | 0;
    this.#zigzag(dHi >> 3, (dLo >>> 3) | (dHi << 29));
    this.#ptwHi = hi;
    this.#ptwLo = lo;
    return this.#uv(value);
  }
  /** The true translation of a 4 KiB page from now on. Both are addresses; their low 12 bits are dropped. */
  map(gva: U64, gpa: U64): this {
    this.#event(EventType.MAP);
    const hi = high(gva);
    this.#zigzag((hi | 0) >> 12, (low(gva) >>> 12) | (hi << 20));
    const gpaHi = high(gpa);
    return this.#number(gpaHi >>> 12, ((low(gpa) >>> 12) | (gpaHi << 20)) >>> 0);
  }
  mark(value: number): this {
    return this.#event(EventType.MARK).#byte(check(value, 0, 255, "mark"));
  }
  /** 4 CPUID, 5 HLT, 6 WRMSR, 7 RDMSR, 8 IN/OUT. */
  insn(what: number): this {
    return this.#event(EventType.INSN).#byte(check(what, 0, 255, "instruction"));
  }
  /** `count` further fetches in the page of the last one (fetch mode "page"). */
  fetchRun(count: number): this {
    this.fetches += check(count, 0, FETCH_RUN_MAX, "fetch count");
    return this.#event(EventType.FRUN).#uv(count);
  }
  /** Who runs from now on, as the recorder knows it. */
  switchTo(process: U64, thread: U64): this {
    return this.#event(EventType.SWITCH).#uv(process).#uv(thread);
  }
  label(text: string): this {
    const bytes = new TextEncoder().encode(text);
    check(bytes.length, 0, LABEL_BYTES_MAX, "LABEL length in bytes");
    this.#event(EventType.LABEL).#uv(bytes.length).#room(bytes.length);
    this.#out.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }
  /** What the host does to `count` guest frames from `gfn` on; a change of the memory slots is about all of them. */
  host(what: "unmap" | "share" | "dirty-log" | "memory-slots", gfn: U64, count: U64): this {
    const code = { unmap: 1, share: 2, "dirty-log": 3, "memory-slots": 4 }[what];
    const frames = check(Number(count), 0, HOST_FRAMES_MAX, "frame count");
    check(Number(gfn), 0, 2 ** 40 - frames, "frame number");
    return this.#event(EventType.HOST).#uv(code).#uv(gfn).#uv(count);
  }
  /** Ends the stream with the counts so far. */
  end(): this {
    return this.#event(EventType.END).#uv(this.fetches).#uv(this.reads).#uv(this.writes);
  }

  #room(bytes: number): this {
    if (this.#at + bytes > this.#out.length) {
      const out = new Uint8Array(Math.max(this.#out.length * 2, this.#at + bytes));
      out.set(this.#out);
      this.#out = out;
    }
    return this;
  }

  #byte(value: number): this {
    this.#room(1);
    this.#out[this.#at++] = value;
    return this;
  }

  #event(type: number): this {
    this.events++;
    return this.#byte(3 | (type << 2));
  }

  #uv(value: U64): this {
    return this.#number(high(value), low(value));
  }

  #number(hi: number, lo: number): this {
    this.#room(10);
    while (hi > 0 || lo > 127) {
      this.#out[this.#at++] = (lo & 127) | 128;
      lo = ((lo >>> 7) | (hi << 25)) >>> 0;
      hi >>>= 7;
    }
    this.#out[this.#at++] = lo;
    return this;
  }

  #zigzag(hi: number, lo: number): this {
    const sign = hi >> 31;
    return this.#number((((hi << 1) | (lo >>> 31)) ^ sign) >>> 0, ((lo << 1) ^ sign) >>> 0);
  }

  #delta(hi: number, lo: number, baseHi: number, baseLo: number): void {
    const borrow = lo < baseLo ? 1 : 0;
    this.#zigzag((hi - baseHi - borrow) | 0, (lo - baseLo) | 0);
  }

  #data(kind: number, gva: U64, size: number, flags: AccessFlags): void {
    const shift = 31 - Math.clz32(size);
    if (shift < 0 || shift > 7 || size !== 1 << shift) {
      throw new RangeError(`access size is ${size} bytes, not a power of two from 1 to 128`);
    }
    this.#room(16);
    this.#byte(kind | (shift << 2) | (flags.cpu ? 0x20 : 0) | (flags.device ? 0x40 : 0));
    const hi = high(gva);
    const lo = low(gva);
    this.#delta(hi, lo, this.#dataHi, this.#dataLo);
    this.#dataHi = hi;
    this.#dataLo = lo;
    this.events++;
  }
}
