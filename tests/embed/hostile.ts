import { Access, createMmu, Kind, type Mmu, type PhysicalHooks, Status } from "../../src/embed/index.js";

/** A small generator that needs no BigInt: xorshift of 32 bits. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed | 1;
  }
  next(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }
  below(n: number): number {
    return this.next() % n;
  }
}

const PAGES = 16;
const RAM = PAGES * 4096;
/** Memory before, between and after what the guest has, that nobody may touch. */
const GUARD = 64 * 4096;
const FILL = 0xa5;
const ROM = 0xf_0000;

export const TECHNIQUES = ["native", "ept", "npt", "shadow", "host ept", "host npt", "hooked"] as const;

/**
 * A guest of 16 pages of RAM and one of ROM whose every byte is a table, with guards around: what it does may change its
 * RAM, and nothing else of the memory that it shares with its host.
 */
export class Hostile {
  readonly memory = new WebAssembly.Memory({ initial: (2 * GUARD + RAM + GUARD + 4096) / 65536 + 1 });
  readonly mmu: Mmu;
  readonly r: Random;
  readonly #words: Uint32Array;
  readonly #host: boolean;
  /** Addresses that the host's functions were asked for inside of its ranges: there must be none. */
  asked = 0;
  /** Translations that were answered. */
  answered = 0;
  states = 0;

  constructor(
    seed: number,
    readonly technique: (typeof TECHNIQUES)[number],
  ) {
    this.r = new Random(seed);
    const size = this.memory.buffer.byteLength;
    new Uint8Array(this.memory.buffer).fill(FILL);
    const inside = (at: number) => at < RAM || (at >= ROM && at < ROM + 4096);
    const note = (at: number) => {
      if (inside(at) || at >= 2 ** 52) ++this.asked;
    };
    this.#host = technique.startsWith("host");
    const bare = technique.replace("host ", "");
    this.mmu = createMmu({
      memory: this.memory,
      ram: [
        { address: 0, base: GUARD, size: RAM },
        { address: ROM, base: 2 * GUARD + RAM, size: 4096, kind: "rom" },
      ],
      technique: bare === "hooked" ? "native" : (bare as "native"),
      ...(this.#host
        ? { hypervisor: "host" as const }
        : bare === "ept" || bare === "npt"
          ? { hypervisor: "model" as const }
          : {}),
      set: ["caches.enabled=false"],
      ...(technique === "hooked" ? { physical: this.#hooks(note) } : {}),
    });
    this.#words = new Uint32Array(this.memory.buffer, 0, size / 4);
    this.#fill(2 * GUARD + RAM, 4096);
  }

  #hooks(note: (at: number) => void): PhysicalHooks {
    const { r } = this;
    return {
      kind: (at) => {
        note(at);
        return at % 8192 < 4096 ? Kind.mmio : Kind.none;
      },
      read: (at, bytes) => {
        note(at);
        return bytes === 8 ? BigInt(r.next()) * 0x1_0000_0001n : BigInt(r.next());
      },
      write: note,
      compareExchange: (at) => {
        note(at);
        return r.below(4) > 0;
      },
    };
  }

  /** An entry that leads somewhere: mostly to the guest's own pages, else anywhere. */
  #entry(at: number): void {
    const { r } = this;
    const words = this.memory.buffer.byteLength === 0 ? this.#words : new Uint32Array(this.memory.buffer);
    const flags = r.below(4) === 0 ? r.next() & 0xfff : (r.next() & 0x1c7) | 7 | (r.below(2) << 5);
    const where = r.below(8);
    if (where < 5) {
      words[at / 4] = (r.below(PAGES) << 12) | flags;
      words[at / 4 + 1] = r.below(8) === 0 ? r.next() : 0;
    } else if (where === 5) {
      words[at / 4] = ROM | flags;
      words[at / 4 + 1] = 0;
    } else {
      /* Just beyond the guest's memory, and everywhere. */
      words[at / 4] = where === 6 ? ((PAGES + r.below(80)) << 12) | flags : (r.next() & ~0xfff) | flags;
      words[at / 4 + 1] = where === 6 ? 0 : r.next() & (r.below(2) ? 0x3f : 0xffff_ffff);
    }
  }
  #fill(from: number, bytes: number): void {
    for (let at = from; at < from + bytes; at += 8) this.#entry(at);
  }

  /** A random state of tables and registers, and some accesses in it. */
  step(): void {
    const { r, mmu } = this;
    ++this.states;
    /* Whole pages now and then, a few entries each time. */
    if (r.below(64) === 0) this.#fill(GUARD + 4096 * r.below(PAGES), 4096);
    for (let i = 0; i < 6; ++i) {
      const at = r.below(RAM) & ~7;
      this.#entry(GUARD + (r.below(2) ? at : at & 0xf00f));
    }
    if (r.below(16) === 0) this.#registers();
    if (r.below(8) === 0) mmu.flush();
    for (let i = 0; i < 3; ++i) {
      const high = r.below(4) === 0 ? 0xffff_8000 | r.below(0x8000) : r.below(3) === 0 ? r.below(0x8000) : 0;
      const low = r.below(2) ? r.next() : r.below(1 << 24);
      const access = [0, 1, 2, 4, 5, 6, 8, 9][r.below(8)]!;
      const status = r.below(4) === 0 ? mmu.probe(low, high, access) : mmu.translate(low, high, access);
      if (status === Status.ok || status === Status.emulated) {
        ++this.answered;
        const { offset, physical, kind } = mmu;
        const inRam = physical < RAM;
        const inRom = physical >= ROM && physical < ROM + 4096;
        const place = inRam ? GUARD + physical : inRom ? 2 * GUARD + RAM + physical - ROM : -1;
        if (offset !== place)
          throw new Error(`0x${physical.toString(16)} is answered at byte ${offset}, not ${place}`);
        if ((kind === Kind.ram) !== inRam || (kind === Kind.rom) !== inRom)
          throw new Error(`kind ${kind} of 0x${physical.toString(16)}`);
      }
      if (status === Status.emulated && (access & Access.write) !== 0) mmu.stored(mmu.physical, 1);
    }
  }

  #registers(): void {
    const { r, mmu } = this;
    const paged = r.below(8) > 0;
    const long = r.below(3) > 0;
    const page = r.below(4) > 0 ? r.below(PAGES) : r.below(256);
    const cr4 = (r.next() & 0x70_0080) | (long || r.below(2) ? 0x20 : 0) | (r.below(2) ? 0x10 : 0);
    mmu.setState({
      cr0: (paged ? 0x8000_0001n : 1n) | (r.below(2) ? 0x1_0000n : 0n),
      cr3: BigInt(page << 12),
      cr4: BigInt(cr4),
      efer: (long && paged ? 0x500n : 0n) | (r.below(2) ? 0x800n : 0n),
      pdptes: [this.#pdpte(), this.#pdpte(), this.#pdpte(), this.#pdpte()],
    });
    if (this.#host) this.#second();
    if (r.below(4) === 0) mmu.setCr3(BigInt(r.next() & ~0xfff));
  }
  /** The host's second stage: any page as root, or one that maps all memory onto itself until the guest stores there. */
  #second(): void {
    const { r, mmu } = this;
    let root = r.below(PAGES + 8);
    const ept = this.technique === "host ept";
    if (r.below(2)) {
      root = r.below(PAGES);
      const below = (root + 1) % PAGES;
      const words = new Uint32Array(this.memory.buffer);
      words.fill(0, (GUARD + root * 4096) / 4, (GUARD + root * 4096) / 4 + 1024);
      for (let i = 0; i < 4; ++i) words[(GUARD + root * 4096) / 4 + 2 * i] = (below << 12) | 7;
      for (let i = 0; i < 512; ++i) {
        words[(GUARD + below * 4096) / 4 + 2 * i] = (i << 30) | (ept ? 0xb7 : 0xe7);
        words[(GUARD + below * 4096) / 4 + 2 * i + 1] = i >> 2;
      }
    }
    if (ept) mmu.setEptp(BigInt((root << 12) | 0x1e | (r.below(2) ? 0x40 : 0)));
    else mmu.setNcr3(BigInt(root << 12));
  }
  #pdpte(): bigint {
    return BigInt((this.r.below(PAGES + 4) << 12) | 1);
  }

  /** What of the memory outside of the guest's RAM, and of the core, has changed. */
  damage(): string | undefined {
    const bytes = new Uint8Array(this.memory.buffer);
    for (const [from, to] of [
      [0, GUARD],
      [GUARD + RAM, 2 * GUARD + RAM],
      [2 * GUARD + RAM + 4096, 3 * GUARD + RAM + 4096],
    ] as const)
      for (let at = from; at < to; ++at)
        if (bytes[at] !== FILL) return `byte ${at} of the guard from ${from} to ${to}`;
    return this.asked > 0 ? `${this.asked} calls for memory that the core can reach` : undefined;
  }
}
