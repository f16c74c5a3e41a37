/**
 * An MMU of the same rules in plain JavaScript, as an emulator without WebAssembly has one: long mode with 4-level tables,
 * present, rights (WP, SMEP, SMAP, NX), accessed and dirty flags, large and global pages, and a TLB that is looked up
 * with numbers only. For comparison: it counts nothing and models no time.
 */
const ENTRIES = 4096;
const [WRITE, FETCH, USER] = [1, 2, 4];
const [P, RW, US, ACCESSED, DIRTY, PS] = [1, 2, 4, 0x20, 0x40, 0x80];

export class PlainMmu {
  #low = new Uint32Array(ENTRIES);
  #high = new Uint32Array(ENTRIES);
  /** Bit n: an access with the bits n may use the entry. */
  #allowed = new Uint8Array(ENTRIES);
  #frame = new Float64Array(ENTRIES);
  #memory;
  physical = 0;
  errorCode = 0;
  cr3 = 0;
  wp = true;
  smep = false;
  smap = false;

  constructor(buffer) {
    this.#memory = new Uint32Array(buffer);
    this.#low.fill(0xffff_ffff);
  }

  translate(low, high, access) {
    const page = low >>> 12;
    const at = page & (ENTRIES - 1);
    if (this.#low[at] === page && this.#high[at] === high && ((this.#allowed[at] >> access) & 1) !== 0) {
      this.physical = this.#frame[at] + (low & 0xfff);
      return 0;
    }
    return this.#walk(low, high, access, page, at);
  }

  #walk(low, high, access, page, at) {
    const va = high * 2 ** 32 + low;
    let table = this.cr3;
    let rights = RW | US | 8;
    for (let level = 4; ; --level) {
      const shift = 3 + 9 * level;
      const entry = (table + (Math.floor(va / 2 ** shift) % 512) * 8) / 4;
      const value = this.#memory[entry];
      const upper = this.#memory[entry + 1];
      if (!(value & P)) return this.#fault(access, 0);
      rights &= (value & (RW | US)) | (upper >>> 31 ? 0 : 8);
      if (level > 1 && !(value & PS)) {
        table = (upper & 0xf_ffff) * 2 ** 32 + (value & ~0xfff & 0xffff_ffff ? (value >>> 12) * 4096 : 0);
        if (!(value & ACCESSED)) this.#memory[entry] = value | ACCESSED;
        continue;
      }
      if (!this.#permits(rights, access)) return this.#fault(access, 1);
      const flags = ACCESSED | (access & WRITE ? DIRTY : 0);
      if ((value & flags) !== flags) this.#memory[entry] = value | flags;
      const size = 2 ** shift;
      const frame = (upper & 0xf_ffff) * 2 ** 32 + (value >>> 12) * 4096;
      this.physical = frame - (frame % size) + (va % size);
      this.#low[at] = page;
      this.#high[at] = high;
      this.#frame[at] = this.physical - (this.physical % 4096);
      let allowed = 0;
      for (const kind of [0, WRITE, FETCH])
        for (const mode of [0, USER])
          if (this.#permits(rights, kind | mode) && (kind !== WRITE || (value | flags) & DIRTY))
            allowed |= 1 << (kind | mode);
      this.#allowed[at] = allowed;
      return 0;
    }
  }

  #permits(rights, access) {
    const userPage = (rights & US) !== 0;
    if (access & FETCH)
      return (
        (rights & 8) !== 0 && !(this.smep && userPage && !(access & USER)) && (userPage || !(access & USER))
      );
    if (access & USER) return userPage && (!(access & WRITE) || (rights & RW) !== 0);
    if (this.smap && userPage) return false;
    return !(access & WRITE) || (rights & RW) !== 0 || !this.wp;
  }

  #fault(access, present) {
    this.errorCode = present | (access & WRITE ? 2 : 0) | (access & USER ? 4 : 0) | (access & FETCH ? 16 : 0);
    return 1;
  }
}
