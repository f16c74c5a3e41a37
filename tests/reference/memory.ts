const WORD = 0xffff_ffffn;

/** Host-physical memory as a sparse map of 8-byte words. What was never written reads as zero. */
export class PhysicalMemory {
  readonly #words = new Map<bigint, bigint>();

  read64(hpa: bigint): bigint {
    if (hpa & 7n) throw new RangeError(`unaligned 8-byte read at 0x${hpa.toString(16)}`);
    return this.#words.get(hpa) ?? 0n;
  }

  write64(hpa: bigint, value: bigint): void {
    if (hpa & 7n) throw new RangeError(`unaligned 8-byte write at 0x${hpa.toString(16)}`);
    this.#words.set(hpa, BigInt.asUintN(64, value));
  }

  read32(hpa: bigint): bigint {
    if (hpa & 3n) throw new RangeError(`unaligned 4-byte read at 0x${hpa.toString(16)}`);
    return (this.read64(hpa & ~7n) >> shiftOf(hpa)) & WORD;
  }

  write32(hpa: bigint, value: bigint): void {
    if (hpa & 3n) throw new RangeError(`unaligned 4-byte write at 0x${hpa.toString(16)}`);
    const others = this.read64(hpa & ~7n) & ~(WORD << shiftOf(hpa));
    this.write64(hpa & ~7n, others | ((value & WORD) << shiftOf(hpa)));
  }

  read(hpa: bigint, bytes: 4 | 8): bigint {
    return bytes === 8 ? this.read64(hpa) : this.read32(hpa);
  }

  write(hpa: bigint, value: bigint, bytes: 4 | 8): void {
    if (bytes === 8) this.write64(hpa, value);
    else this.write32(hpa, value);
  }

  /** An accessed or dirty update: no write at all when the flags are set already (SDM 3A 4.8, 3C 29.3.5). */
  setFlags(hpa: bigint, flags: bigint, bytes: 4 | 8): void {
    const entry = this.read(hpa, bytes);
    if ((entry & flags) !== flags) this.write(hpa, entry | flags, bytes);
  }

  /** Every word ever written, in order of address: two memories are equal when these are. */
  words(): [hpa: bigint, value: bigint][] {
    return [...this.#words].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

function shiftOf(hpa: bigint): bigint {
  return hpa & 4n ? 32n : 0n;
}
