import { optionName } from "../../request/option-names.js";
import { concatBytes } from "../bytes.js";
import { TraceError } from "../error.js";
import { type Decoder, type Import, type Importer, type ImportHints, withoutTables } from "./importer.js";
import type { RecordOut } from "./out.js";

/**
 * gem5's packet trace (src/proto/packet.proto, protoio.cc): "gem5", then protobuf messages, each with its length as a
 * varint before it: one PacketHeader, then Packets. `cmd` counts as MemCmd::Command in src/mem/packet.hh does.
 */
const MAGIC = [0x67, 0x65, 0x6d, 0x35];
const MESSAGE_MAX = 1 << 20;
const INST_FETCH = 0x100;
// ReadReq, ReadExReq, ReadCleanReq, ReadSharedReq, LoadLockedReq, LockedRMWReadReq.
const READS = new Set([1, 22, 24, 25, 26, 30]);
// WriteReq, WriteLineReq, StoreCondReq, LockedRMWWriteReq.
const WRITES = new Set([4, 16, 27, 32]);
const SWAP = 34;

/** The fields of a message: varints by number; anything else is passed over. */
interface Message {
  /** Two 32-bit halves of each varint field, by field number below 16. */
  hi: Int32Array;
  lo: Int32Array;
  seen: number;
  text: string;
}

class Gem5Decoder implements Decoder {
  #held: Uint8Array = new Uint8Array(0);
  #offset = 0;
  #state: "magic" | "header" | "packets" = "magic";
  #message: Message = { hi: new Int32Array(16), lo: new Int32Array(16), seen: 0, text: "" };
  #others = 0;
  #told = false;

  constructor(
    readonly name: string,
    readonly out: RecordOut,
  ) {}

  push(slice: Uint8Array): void {
    const bytes = concatBytes(this.#held, slice);
    let at = 0;
    if (this.#state === "magic") {
      if (bytes.length < 4) {
        this.#held = bytes;
        return;
      }
      at = 4;
      this.#state = "header";
    }
    for (;;) {
      const length = varint(bytes, at, bytes.length);
      if (length === undefined) break;
      if (length === "overlong" || length.hi !== 0 || length.lo >>> 0 > MESSAGE_MAX)
        throw this.#corrupt("a message is longer than 1 MiB", this.#offset + at);
      const end = length.next + length.lo;
      if (end > bytes.length) break;
      this.#take(bytes, length.next, end);
      at = end;
    }
    this.#offset += at;
    this.#held = bytes.slice(at);
  }

  end(): void {
    if (this.#held.length > 0 || this.#state !== "packets") {
      const offset = this.#offset + this.#held.length;
      throw new TraceError(
        `${this.name} is truncated: it ends at byte ${offset}, inside a message; get the file again, or read it as far as it is whole (${optionName("allow-truncated")})`,
        { kind: "truncated", offset },
      );
    }
    if (this.#others > 0)
      this.out.label(`${this.#others} packets that are no access of a program were left out`);
  }

  #take(bytes: Uint8Array, start: number, end: number): void {
    const m = this.#message;
    const offset = this.#offset + start;
    if (!fields(bytes, start, end, m)) throw this.#corrupt("a message is no protobuf", offset);
    if (this.#state === "header") {
      this.#state = "packets";
      return;
    }
    if ((m.seen & 6) !== 6) throw this.#corrupt("a packet has no tick or no command", offset);
    const command = m.lo[2]! >>> 0;
    if ((m.seen & 24) !== 24 || m.hi[2] !== 0) {
      this.#others++;
      return;
    }
    const { out } = this;
    const hi = m.hi[3]!;
    const lo = m.lo[3]!;
    const size = m.lo[4]! >>> 0;
    if (size > 1 << 16 || m.hi[4] !== 0) throw this.#corrupt(`a packet is of ${size} bytes`, offset);
    const read = READS.has(command) || command === SWAP;
    const write = WRITES.has(command) || command === SWAP;
    if (!read && !write) {
      this.#others++;
      return;
    }
    if (!this.#told) out.switchTo(1, 1);
    this.#told = true;
    if (m.seen & 32 && m.lo[5]! & INST_FETCH && read) {
      out.fetch(hi, lo, Math.min(15, size, 4096 - (lo & 4095)));
      return;
    }
    if (read) out.read(hi, lo, size);
    if (write) out.write(hi, lo, size);
  }

  #corrupt(what: string, offset: number): TraceError {
    return new TraceError(`${this.name} is corrupt: ${what}, at byte ${offset}; get the file again`, {
      kind: "corrupt",
      offset,
    });
  }
}

interface Varint {
  hi: number;
  lo: number;
  next: number;
}

function varint(bytes: Uint8Array, start: number, end: number): Varint | "overlong" | undefined {
  let hi = 0;
  let lo = 0;
  for (let i = 0; i < 10; i++) {
    if (start + i >= end) return undefined;
    const byte = bytes[start + i]!;
    const part = byte & 127;
    if (i < 4) lo |= part << (7 * i);
    else if (i === 4) {
      lo |= part << 28;
      hi = part >> 4;
    } else if (i < 9) hi |= part << (7 * i - 32);
    else hi |= part << 31;
    if (byte < 128) return { hi, lo, next: start + i + 1 };
  }
  return "overlong";
}

function fields(bytes: Uint8Array, start: number, end: number, m: Message): boolean {
  m.seen = 0;
  m.text = "";
  for (let at = start; at < end; ) {
    const key = varint(bytes, at, end);
    if (key === undefined || key === "overlong" || key.hi !== 0) return false;
    const field = key.lo >>> 3;
    const wire = key.lo & 7;
    at = key.next;
    if (wire === 0) {
      const value = varint(bytes, at, end);
      if (value === undefined || value === "overlong") return false;
      at = value.next;
      if (field < 16) {
        m.hi[field] = value.hi;
        m.lo[field] = value.lo;
        m.seen |= 1 << field;
      }
    } else if (wire === 2) {
      const length = varint(bytes, at, end);
      if (length === undefined || length === "overlong" || length.hi !== 0) return false;
      at = length.next + (length.lo >>> 0);
      if (field === 1 && at <= end)
        m.text = new TextDecoder().decode(bytes.subarray(length.next, at)).slice(0, 200);
    } else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    else return false;
    if (at > end) return false;
  }
  return true;
}

export const gem5: Importer = {
  format: "gem5",
  title: "a gem5 packet trace",
  looks: "protobuf messages; physical addresses",
  probe: (head) => (head.length >= 5 && MAGIC.every((byte, i) => head[i] === byte) ? 1 : 0),
  open(head, { name, addresses }: ImportHints): Import {
    const m: Message = { hi: new Int32Array(16), lo: new Int32Array(16), seen: 0, text: "" };
    const length = varint(head, 4, head.length);
    const good =
      length &&
      length !== "overlong" &&
      fields(head, length.next, Math.min(head.length, length.next + length.lo), m);
    return {
      recorded: withoutTables("gem5 communication monitor", addresses ?? "guest-physical", {
        missing: ["virtual addresses"],
        ...(good && m.text !== "" ? { notes: [`recorded at ${m.text}`] } : {}),
      }),
      start: (out) => new Gem5Decoder(name, out),
    };
  },
};
