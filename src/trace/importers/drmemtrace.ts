import { optionName } from "../../request/option-names.js";
import { TraceError } from "../error.js";
import { FixedDecoder, headWords } from "./fixed.js";
import { type Import, type Importer, type ImportHints, withoutTables } from "./importer.js";
import type { RecordOut } from "./out.js";

/**
 * DynamoRIO's drmemtrace offline trace (clients/drcachesim/common/trace_entry.h, reader/reader.cpp): packed records of
 * u16 type, u16 size, u64 address, versions 1 to 7.
 */
const Type = {
  READ: 0,
  WRITE: 1,
  INSTR_FIRST: 10,
  INSTR_LAST: 16,
  BUNDLE: 17,
  THREAD: 22,
  THREAD_EXIT: 23,
  PID: 24,
  HEADER: 25,
  FOOTER: 26,
  MARKER: 28,
  NO_FETCH: 29,
  MAYBE_FETCH: 30,
  SYSENTER: 31,
  TAKEN: 48,
  UNTAKEN: 49,
} as const;
const LAST_TYPE = 50;

const Marker = {
  FILETYPE: 9,
  VERSION: 12,
  PHYSICAL: 15,
  PAGE_SIZE: 18,
  SYSCALL_START: 27,
  SYSCALL_END: 28,
  SWITCH_START: 34,
  SWITCH_END: 35,
} as const;

const FILETYPES: readonly [bit: number, what: string][] = [
  [0x1, "filtered"],
  [0x2, "without optimised code"],
  [0x8, "AArch64"],
  [0x10, "32-bit Arm"],
  [0x20, "x86-32"],
  [0x40, "x86-64"],
  [0x80, "instructions filtered"],
  [0x100, "data filtered"],
  [0x1000, "with kernel system calls"],
  [0x10000, "core-sharded"],
  [0x20000, "register dependencies only"],
  [0x40000, "whole system"],
];
const VERSION_MAX = 7;
const THREADS_MAX = 1 << 20;

/** How the importer treats a record of each type. */
enum Does {
  skip,
  read,
  write,
  fetch,
  noFetch,
  maybeFetch,
  bundle,
  thread,
  process,
  marker,
  header,
  footer,
}

const DOES = new Uint8Array(LAST_TYPE + 1);
DOES[Type.READ] = Does.read;
DOES[Type.WRITE] = Does.write;
for (let type = Type.INSTR_FIRST as number; type <= Type.INSTR_LAST; type++) DOES[type] = Does.fetch;
for (const type of [Type.SYSENTER, Type.TAKEN, Type.UNTAKEN]) DOES[type] = Does.fetch;
DOES[Type.NO_FETCH] = Does.noFetch;
DOES[Type.MAYBE_FETCH] = Does.maybeFetch;
DOES[Type.BUNDLE] = Does.bundle;
DOES[Type.THREAD] = Does.thread;
DOES[Type.PID] = Does.process;
DOES[Type.MARKER] = Does.marker;
DOES[Type.HEADER] = Does.header;
DOES[Type.FOOTER] = Does.footer;

class Reading {
  process = 0;
  thread = 0;
  /** Something ran since who runs was last said. */
  changed = true;
  processes = new Map<number, number>();
  /** Address and length of the last instruction. */
  pcHi = 0;
  pcLo = 0;
  pcEndHi = 0;
  pcEndLo = 0;
  /** Inside the kernel's part of a system call or of a context switch. */
  kernel = false;
  kernelAccesses = 0;
  physical = 0;
  footer = false;

  constructor(
    readonly name: string,
    readonly out: RecordOut,
  ) {}

  records(words: Int32Array, count: number, where: FixedDecoder): void {
    const { out } = this;
    const end = count * 3;
    for (let at = 0; at < end; at += 3) {
      const head = words[at]!;
      const lo = words[at + 1]!;
      const hi = words[at + 2]!;
      const type = head & 0xffff;
      const size = head >>> 16;
      const does = type <= LAST_TYPE ? DOES[type]! : Does.header;
      if (does === Does.skip) continue;
      if (does <= Does.fetch) {
        if (this.changed) this.#switch();
        if (this.kernel) {
          this.kernelAccesses++;
          continue;
        }
        if (does === Does.fetch) {
          this.pcHi = hi;
          this.pcLo = lo;
          if (size !== 0) out.fetch(hi, lo, size);
          this.pcEndLo = (lo + size) | 0;
          this.pcEndHi = this.pcEndLo >>> 0 < size ? (hi + 1) | 0 : hi;
        } else if (does === Does.read) out.read(hi, lo, size);
        else out.write(hi, lo, size);
        continue;
      }
      this.#rare(does, type, size, hi, lo, where.offset + at * 4);
    }
  }

  #rare(does: number, type: number, size: number, hi: number, lo: number, offset: number): void {
    const { out } = this;
    const value = (hi >>> 0) * 0x1_0000_0000 + (lo >>> 0);
    switch (does) {
      case Does.noFetch:
      case Does.maybeFetch: {
        if (this.changed) this.#switch();
        const same = this.pcHi === hi && this.pcLo === lo;
        this.pcHi = hi;
        this.pcLo = lo;
        if (does === Does.noFetch || same || this.kernel || size === 0) return;
        out.fetch(hi, lo, size);
        this.pcEndLo = (lo + size) | 0;
        this.pcEndHi = this.pcEndLo >>> 0 < size ? (hi + 1) | 0 : hi;
        return;
      }
      case Does.bundle: {
        if (size > 8) throw this.#corrupt(`a bundle of ${size} instructions, more than 8`, offset);
        if (this.changed) this.#switch();
        for (let i = 0; i < size; i++) {
          const length = ((i < 4 ? lo : hi) >>> (8 * (i & 3))) & 255;
          this.pcHi = this.pcEndHi;
          this.pcLo = this.pcEndLo;
          if (!this.kernel && length > 0) out.fetch(this.pcHi, this.pcLo, length);
          this.pcEndLo = (this.pcLo + length) | 0;
          if (this.pcEndLo >>> 0 < length) this.pcEndHi = (this.pcEndHi + 1) | 0;
        }
        return;
      }
      case Does.thread:
        this.thread = value % 2 ** 53;
        this.process = this.processes.get(this.thread) ?? this.process;
        this.changed = true;
        return;
      case Does.process:
        this.process = value % 2 ** 53;
        this.processes.set(this.thread, this.process);
        if (this.processes.size > THREADS_MAX) throw this.#corrupt("more than 1,048,576 threads", offset);
        this.changed = true;
        return;
      case Does.footer:
        this.footer = true;
        return;
      case Does.header:
        if (type !== Type.HEADER) throw this.#corrupt(`a record of type ${type}, which is not known`, offset);
        this.footer = false;
        checkVersion(this.name, value, offset);
        return;
      default:
        if (size === Marker.VERSION) checkVersion(this.name, value, offset);
        else if (size === Marker.SYSCALL_START || size === Marker.SWITCH_START) this.kernel = true;
        else if (size === Marker.SYSCALL_END || size === Marker.SWITCH_END) this.kernel = false;
        else if (size === Marker.PHYSICAL) this.physical++;
    }
  }

  finish(where: FixedDecoder): void {
    const { out } = this;
    if (!this.footer)
      throw new TraceError(
        `${this.name} is truncated: it ends at byte ${where.offset} without a footer record; get the file again, or read it as far as it is whole (${optionName("allow-truncated")})`,
        { kind: "truncated", offset: where.offset },
      );
    if (this.kernelAccesses > 0)
      out.label(`${this.kernelAccesses} fetches, reads and writes of the kernel were left out`);
    if (this.physical > 0) out.label(`${this.physical} physical page addresses were left out`);
    if (out.split > 0)
      out.label(`accesses of more than 128 bytes were split, which added ${out.split} records`);
  }

  #switch(): void {
    this.changed = false;
    this.out.switchTo(this.process, this.thread);
  }

  #corrupt(what: string, offset: number): TraceError {
    return new TraceError(`${this.name} is corrupt: ${what}, at byte ${offset}; get the file again`, {
      kind: "corrupt",
      offset,
    });
  }
}

function checkVersion(name: string, version: number, offset: number): void {
  if (version >= 1 && version <= VERSION_MAX) return;
  throw new TraceError(
    `${name} is a drmemtrace of version ${version}, at byte ${offset}, and versions 1 to ${VERSION_MAX} are known; convert it with the DynamoRIO it came from`,
    { kind: "unsupported", offset },
  );
}

export const drmemtrace: Importer = {
  format: "drmemtrace",
  title: "a DynamoRIO drmemtrace",
  looks: "records of 12 bytes, .trace.gz or .trace.zip, versions 1 to 7; virtual addresses",
  probe(head) {
    const words = headWords(head, 3);
    if (words.length < 6) return 0;
    // The header, then a version marker, a thread or a file type.
    if (words[0] !== Type.HEADER || words[2] !== 0 || words[1]! < 1 || words[1]! > 1000) return 0;
    for (let at = 0; at < Math.min(words.length, 300); at += 3)
      if ((words[at]! & 0xffff) > LAST_TYPE) return 0;
    return 1;
  },
  open(head, { name }: ImportHints): Import {
    const words = headWords(head, 3);
    checkVersion(name, words[1]!, 0);
    const notes: string[] = [`drmemtrace version ${words[1]}`];
    let pageBytes: number | undefined;
    for (let at = 0; at < words.length; at += 3) {
      if ((words[at]! & 0xffff) !== Type.MARKER || words[at + 2] !== 0) continue;
      const marker = words[at]! >>> 16;
      const value = words[at + 1]! >>> 0;
      if (marker === Marker.FILETYPE) {
        const kinds = FILETYPES.filter(([bit]) => value & bit).map(([, what]) => what);
        if (kinds.length > 0) notes.push(kinds.join(", "));
      } else if (marker === Marker.PAGE_SIZE) pageBytes = value;
    }
    const pageSizes = pageBytes === 2 << 20 ? "2m" : pageBytes === 1 << 30 ? "1g" : "4k";
    if (pageBytes !== undefined && ![4096, 2 << 20, 1 << 30].includes(pageBytes))
      notes.push(`recorded with pages of ${pageBytes} bytes, replayed with pages of 4096`);
    return {
      version: words[1]!,
      recorded: withoutTables("DynamoRIO drmemtrace", "virtual", {
        pageSizes,
        notes: [...new Set(notes)],
      }),
      start(out) {
        const reading = new Reading(name, out);
        const decoder: FixedDecoder = new FixedDecoder(
          name,
          3,
          (all, count, where) => reading.records(all, count, where),
          `get the file again, or read it as far as it is whole (${optionName("allow-truncated")})`,
          () => reading.finish(decoder),
        );
        return decoder;
      },
    };
  },
};
