import { createMmu, type Mmu, type MmuOptions, Status } from "../../src/embed/index.js";

export const P = 1n;
export const RW = 2n;
export const US = 4n;
export const A = 0x20n;
export const D = 0x40n;
export const PS = 0x80n;
export const G = 0x100n;
export const XD = 1n << 63n;
const FRAME = 0x000f_ffff_ffff_f000n;

export const CR0 = 0x8001_0001n;
export const CR4 = 0xa0n;
export const EFER = 0xd00n;

export const MIB = 2 ** 20;

/** A guest in long mode whose tables are written by hand into its host's memory. */
export class Guest {
  readonly mmu: Mmu;
  readonly #memory: NonNullable<MmuOptions["memory"]>;
  #next: number;

  constructor(
    options: Partial<MmuOptions> = {},
    readonly base = 0,
    tables = 0x10_0000,
  ) {
    const size = 16 * MIB;
    const memory = options.memory ?? new WebAssembly.Memory({ initial: (base + size) / 65536 });
    this.mmu = createMmu({ memory, ram: { base, size }, ...options });
    this.#memory = memory;
    this.#next = tables;
  }

  /** The guest's memory, which is another buffer once the core has grown it. */
  get view(): DataView {
    const memory = this.#memory;
    if (memory instanceof WebAssembly.Memory) return new DataView(memory.buffer);
    return ArrayBuffer.isView(memory)
      ? new DataView(memory.buffer, memory.byteOffset, memory.byteLength)
      : new DataView(memory);
  }

  read(gpa: number): bigint {
    return this.view.getBigUint64(this.base + gpa, true);
  }
  write(gpa: number, value: bigint): void {
    this.view.setBigUint64(this.base + gpa, value, true);
  }

  /** A zeroed table. */
  table(): number {
    this.#next += 4096;
    return this.#next;
  }

  /** Maps a page in 4-level tables; returns the address of its leaf. */
  map(root: number, va: bigint, frame: number, flags = P | RW | US, level = 1): number {
    let table = root;
    for (let l = 4; ; --l) {
      const at = table + 8 * Number((va >> BigInt(3 + 9 * l)) & 0x1ffn);
      if (l === level) {
        this.write(at, BigInt(frame) | flags | (level > 1 ? PS : 0n));
        return at;
      }
      if (this.read(at) === 0n) this.write(at, BigInt(this.table()) | P | RW | US);
      table = Number(this.read(at) & FRAME);
    }
  }

  /** Enters long mode with this root. */
  start(root: number, cr4 = CR4, cr0 = CR0): void {
    const { mmu } = this;
    mmu.setCodeLong(false);
    for (const status of [
      mmu.setCr4(cr4 & ~(1n << 17n)),
      mmu.setEfer(EFER & ~0x400n),
      mmu.setCr3(BigInt(root)),
      mmu.setCr0(cr0),
    ])
      if (status !== Status.ok) throw new Error(`a register load ends in ${status}`);
    mmu.setCodeLong(true);
    if (cr4 & (1n << 17n)) mmu.setCr4(cr4);
  }

  /** Translates a 64-bit address; returns the status. */
  go(va: bigint, access: number, bytes = 1): number {
    return this.mmu.translate(Number(va & 0xffff_ffffn), Number((va >> 32n) & 0xffff_ffffn), access, bytes);
  }
  probe(va: bigint, access: number): number {
    return this.mmu.probe(Number(va & 0xffff_ffffn), Number((va >> 32n) & 0xffff_ffffn), access);
  }
}
