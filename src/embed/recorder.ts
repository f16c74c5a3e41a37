import { ConfigError } from "../config/index.js";
import { Access, Register, Status } from "../generated/abi.js";
import { version } from "../generated/version.js";
import { RecordEncoder, type Recorded } from "../trace/index.js";
import { NwtWriter } from "../trace/nwt-writer.js";
import { RecordedTables } from "./recorded-tables.js";

/** What a recorder asks of the MMU whose guest it records. */
export interface RecordedMmu {
  /** The 8 bytes of guest memory at a guest-physical address. */
  peek(gpa: number): bigint;
  /** Whether there is RAM or ROM. */
  holds(gpa: number): boolean;
  state(): {
    cr0: bigint;
    cr3: bigint;
    cr4: bigint;
    efer: bigint;
    pkru: bigint;
    ac: boolean;
  };
  /** Walks made so far. */
  walks(): bigint;
  readonly physical: number;
  readonly errorCode: number;
  readonly faultAddress: bigint;
  readonly isDevice: boolean;
}

interface Made {
  va: bigint;
  access: number;
  bytes: number;
  device: boolean;
  /** Pages that it went to, in order: linear and physical. */
  pages: [va: bigint, physical: number][];
}

const PAGE = 4096n;
const INSTRUCTIONS: Partial<Record<string, number>> = { cpuid: 4, hlt: 5, wrmsr: 6, rdmsr: 7, io: 8 };
const KIND = Access.write | Access.fetch;
/** Bytes of the stream that are gathered before they are put aside. */
const PIECE = 1 << 20;

/**
 * Records what a guest does as a nestwalk trace (traces/FORMAT.md). An access is written when the next thing happens: by
 * then a store has been made, and the table entry that it changed is known.
 */
export class Recorder {
  readonly #encoder = new RecordEncoder();
  readonly #pieces: Uint8Array[] = [];
  readonly #tables: RecordedTables;
  readonly #maps = new Map<bigint, number>();
  #made: Made | undefined;
  #cpl = -1;
  #ac = false;
  #walks = 0n;
  #rip = 0n;

  constructor(
    readonly mmu: RecordedMmu,
    readonly recorded: Recorded,
  ) {
    this.#tables = new RecordedTables(mmu, this.#encoder);
  }

  /** Writes the access before, and the table entries that it stored. */
  settle(): void {
    const made = this.#made;
    if (made === undefined) return;
    this.#made = undefined;
    const { va, access, bytes, device, pages } = made;
    const kind = access & KIND;
    if (!(access & Access.implicit)) this.#mode((access & Access.user) !== 0 ? 3 : 0);
    for (const [page, physical] of pages) this.#map(page, physical);
    const flags = { cpu: (access & Access.implicit) !== 0, device };
    if (kind === Access.fetch) this.#encoder.fetch(va, Math.min(Math.max(bytes, 1), 15));
    else {
      for (const [at, size] of pieces(Math.max(bytes, 1))) {
        if (kind === Access.write) this.#encoder.write(va + BigInt(at), size, flags);
        else this.#encoder.read(va + BigInt(at), size, flags);
      }
    }
    if (kind === Access.write) {
      const [first, second] = pages;
      const within = Math.min(bytes, 4096 - (first![1] % 4096));
      this.#tables.stored(first![1], within);
      if (second !== undefined) this.#tables.stored(second[1], bytes - within);
    }
    if (this.#encoder.length > PIECE) this.#pieces.push(this.#encoder.take());
  }

  /** A translation was answered by `status`. With 0 bytes it is the second page of the access before. */
  access(low: number, high: number, access: number, bytes: number, status: number): void {
    const va = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    const { mmu } = this;
    const walks = mmu.walks();
    if (walks !== this.#walks) {
      this.#walks = walks;
      this.#tables.check(va);
    }
    if (status === Status.ok || status === Status.emulated) {
      const page: [bigint, number] = [va, mmu.physical];
      if (bytes === 0 && this.#made !== undefined) this.#made.pages.push(page);
      else this.#made = { va, access, bytes, device: mmu.isDevice, pages: [page] };
      return;
    }
    /* The access is not made: what its first page did is left out. */
    this.#made = undefined;
    if (!(access & Access.implicit)) this.#mode((access & Access.user) !== 0 ? 3 : 0);
    if (status === Status.pageFault) this.exception(14, mmu.errorCode, mmu.faultAddress);
    else if (status === Status.generalProtection) this.exception(13, 0, 0n);
  }

  /** What a trace cannot say is refused before it is done. */
  checkAccess(access: number): void {
    if (access & Access.shadowStack)
      throw new ConfigError(
        "a trace has no shadow-stack accesses; record a guest that leaves CR4.CET clear",
        "record",
      );
  }
  checkRegister(register: number, value: bigint): void {
    if (register === Register.pkrs && value !== 0n)
      throw new ConfigError("a trace has no IA32_PKRS; record a guest that leaves CR4.PKS clear", "record");
  }

  exception(vector: number, errorCode: number, cr2: bigint): void {
    this.settle();
    this.#encoder.exception(vector, errorCode, this.#rip, cr2);
  }

  instructionAt(low: number, high: number): void {
    this.#rip = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  }

  register(register: number, value: bigint): void {
    const e = this.#encoder;
    if (register === Register.cr0) e.cr0(value);
    else if (register === Register.cr3) e.cr3(value);
    else if (register === Register.cr4) e.cr4(value);
    else if (register === Register.efer) e.efer(value);
    else if (register === Register.pkru) e.pkru(Number(value & 0xffff_ffffn));
    this.#tables.reach();
  }

  state(state: { cr0: bigint; cr3: bigint; cr4: bigint; efer: bigint; pkru: bigint; ac: boolean }): void {
    this.settle();
    this.#encoder.cr0(state.cr0).cr4(state.cr4).efer(state.efer).cr3(state.cr3);
    if (state.pkru !== 0n) this.#encoder.pkru(Number(state.pkru));
    this.#tables.reach();
    this.setAc(state.ac);
  }

  setAc(on: boolean): void {
    this.settle();
    this.#ac = on;
    if (this.#cpl >= 0) this.#encoder.mode(this.#cpl, on);
  }

  invlpg(low: number, high: number): void {
    this.#encoder.invlpg((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
  }
  invpcid(type: number, pcid: number, low: number, high: number): void {
    this.#encoder.invpcid(type, pcid, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
  }
  exits(reason: string, vector: number): void {
    this.settle();
    const code = INSTRUCTIONS[reason];
    if (code !== undefined) this.#encoder.insn(code);
    else if (reason === "interrupt") this.#encoder.exception(vector, 0, this.#rip, 0);
  }
  host(what: "reclaim" | "share" | "logStores" | "memorySlots", gfn: number, frames: number): void {
    this.settle();
    const names = {
      reclaim: "unmap",
      share: "share",
      logStores: "dirty-log",
      memorySlots: "memory-slots",
    } as const;
    this.#encoder.host(names[what], gfn, frames);
  }

  #mode(cpl: number): void {
    if (cpl === this.#cpl) return;
    this.#cpl = cpl;
    this.#encoder.mode(cpl, this.#ac);
  }

  #map(va: bigint, physical: number): void {
    const page = va / PAGE;
    const frame = Math.floor(physical / 4096);
    if (this.#maps.get(page) === frame) return;
    this.#maps.set(page, frame);
    this.#encoder.map(va, physical);
  }

  /** A whole .nwt file of what was recorded so far; recording goes on. */
  async trace(): Promise<Uint8Array> {
    this.settle();
    const writer = new NwtWriter({
      fetch: "insn",
      recorded: { recorder: `nestwalk ${version} (embedded)`, ...this.recorded },
    });
    this.#pieces.push(this.#encoder.take());
    const end = new RecordEncoder();
    end.fetches = this.#encoder.fetches;
    end.reads = this.#encoder.reads;
    end.writes = this.#encoder.writes;
    const parts = [writer.start()];
    for (const piece of [...this.#pieces, end.end().take()]) parts.push(...(await writer.push(piece)));
    parts.push(...(await writer.finish()));
    const file = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      file.set(part, at);
      at += part.length;
    }
    return file;
  }
}

/** An access of any size as accesses of 1, 2, 4 … 128 bytes. */
function pieces(bytes: number): [at: number, size: number][] {
  const parts: [number, number][] = [];
  let at = 0;
  while (at < bytes) {
    const size = Math.min(128, 2 ** Math.floor(Math.log2(bytes - at)));
    parts.push([at, size]);
    at += size;
  }
  return parts;
}
