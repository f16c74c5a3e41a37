/**
 * What the caches of a CPU could hold, as the architecture bounds it: for each address and PCID the translations, and
 * the tables that a walk could begin at, that were valid at some time since the last invalidation that covers them. A
 * CPU may cache any of them at any time (SDM 3A 4.10.2.3, 4.10.3.1), so an access may end in whatever one of them
 * gives, or in what a walk from one of the tables finds now. Nothing else is right.
 */
const P = 1n;
const W = 2n;
const U = 4n;
const PS = 0x80n;
const G = 0x100n;
const XD = 1n << 63n;
const WP = 1n << 16n;
const SMEP = 1n << 20n;
const SMAP = 1n << 21n;
const FRAME = 0x000f_ffff_ffff_f000n;

/** R/W and U/S as in an entry, and 1 for execute. */
type Rights = bigint;
const FULL: Rights = W | U | 1n;

function rightsOf(entry: bigint): Rights {
  return (entry & (W | U)) | (entry & XD ? 0n : 1n);
}

/** Guest-physical mappings: host pages by guest page. */
export type Physical = Map<bigint, Set<bigint>>;

/** Whether a page with these rights may be accessed so, where it has no key. SDM 3A 4.6.1. */
export function permits(
  rights: Rights,
  access: { user: boolean; write: boolean; fetch: boolean },
  { cr0, cr4 }: { cr0: bigint; cr4: bigint },
): boolean {
  const userPage = (rights & U) !== 0n;
  if (access.user && !userPage) return false;
  if (access.fetch) return (rights & 1n) !== 0n && (access.user || !userPage || (cr4 & SMEP) === 0n);
  if (!access.user && userPage && (cr4 & SMAP) !== 0n) return false;
  return !access.write || (rights & W) !== 0n || (!access.user && (cr0 & WP) === 0n);
}

export interface Translation {
  /** Host-physical page of the address. */
  frame: bigint;
  rights: Rights;
  /** log2 of the stage-1 page, and of the pieces it is cached in. */
  shift: bigint;
}

interface Table {
  hpa: bigint;
  rights: Rights;
}

/** What is known of one address in one PCID. */
interface Cached {
  translations: Map<string, Translation>;
  /** By level of the table. */
  tables: Map<string, Table>[];
}

export interface Memory {
  /** Host-physical memory now. */
  read(hpa: bigint): bigint;
  /** Host page of a guest page now, or undefined where the second stage has none. */
  host(gpa: bigint): bigint | undefined;
}

export interface Possible {
  frames: Set<bigint>;
  rights: Map<bigint, Set<Rights>>;
  /** Rights that a guest fault may be for: those of every translation, mapped by the second stage or not. */
  refusals: Set<Rights>;
  notPresent: boolean;
  /** Guest-physical pages without a second-stage mapping that the walk may meet. */
  missing: Set<bigint>;
}

export class CouldBeCached {
  readonly #cached = new Map<string, Cached>();
  readonly #globals = new Map<bigint, Map<string, Translation>>();
  readonly #physical: Physical;

  /** `physical` is given where several share them: they belong to the second stage, whoever runs under it. */
  constructor(
    readonly addresses: readonly bigint[],
    readonly roots: readonly bigint[],
    readonly memory: Memory,
    physical: Physical = new Map(),
  ) {
    this.#physical = physical;
  }

  #of(va: bigint, pcid: number): Cached {
    const key = `${va}/${pcid}`;
    let its = this.#cached.get(key);
    if (its === undefined) {
      its = { translations: new Map(), tables: Array.from({ length: 5 }, () => new Map()) };
      this.#cached.set(key, its);
    }
    return its;
  }

  #globalsOf(va: bigint): Map<string, Translation> {
    let its = this.#globals.get(va);
    if (its === undefined) {
      its = new Map();
      this.#globals.set(va, its);
    }
    return its;
  }

  /** Host pages that a guest page may be translated to now. */
  #hosts(gpa: bigint): Set<bigint> {
    const page = gpa & FRAME;
    let its = this.#physical.get(page);
    if (its === undefined) {
      its = new Set();
      this.#physical.set(page, its);
    }
    const now = this.memory.host(page);
    if (now !== undefined) its.add(now);
    return its;
  }

  /** The state of memory and of the registers holds for a while: whatever could be walked could be cached. */
  settle(pcid: number, globalPages: boolean): void {
    for (const va of this.addresses) this.possible(va, pcid, globalPages);
  }

  /** All that an access to `va` may meet now; caches it, as a CPU might. */
  possible(va: bigint, pcid: number, globalPages: boolean): Possible {
    const its = this.#of(va, pcid);
    const missing = new Set<bigint>();
    const refusals = new Set<Rights>();
    let notPresent = false;
    const enter = (level: number, gpa: bigint, rights: Rights) => {
      const hosts = this.#hosts(gpa);
      for (const hpa of hosts) its.tables[level]!.set(`${hpa}/${rights}`, { hpa, rights });
      if (this.memory.host(gpa & FRAME) === undefined) missing.add(gpa & FRAME);
    };
    enter(4, this.roots[pcid]!, FULL);
    for (let level = 4; level >= 1; --level) {
      for (const { hpa, rights } of its.tables[level]!.values()) {
        const shift = BigInt(3 + 9 * level);
        const entry = this.memory.read(hpa + 8n * ((va >> shift) & 0x1ffn));
        if (!(entry & P)) {
          notPresent = true;
          continue;
        }
        const both = rights & rightsOf(entry);
        if (level > 1 && !(entry & PS)) {
          enter(level - 1, entry & FRAME, both);
          continue;
        }
        refusals.add(both);
        const offset = va & ((1n << shift) - 1n) & ~0xfffn;
        const gpa = (entry & FRAME & ~((1n << shift) - 1n)) | offset;
        for (const frame of this.#hosts(gpa)) {
          const map = globalPages && entry & G ? this.#globalsOf(va) : its.translations;
          map.set(`${frame}/${both}/${shift}`, { frame, rights: both, shift });
        }
        if (this.memory.host(gpa) === undefined) missing.add(gpa);
      }
    }
    const frames = new Set<bigint>();
    const rights = new Map<bigint, Set<Rights>>();
    const all = [...its.translations.values(), ...(globalPages ? this.#globalsOf(va).values() : [])];
    for (const t of all) {
      frames.add(t.frame);
      const set = rights.get(t.frame) ?? new Set();
      rights.set(t.frame, set.add(t.rights));
      refusals.add(t.rights);
    }
    return { frames, rights, refusals, notPresent, missing };
  }

  /** Removes translations of the page at `at` (all, when left out), and tables. */
  invalidate(what: {
    pcid?: number;
    at?: bigint;
    globals: boolean;
    /** Paging-structure caches: all of the PCID's, or those that `at` uses. */
    tables: "all" | "used";
    /**
     * A page fault, which must remove what is cached for the page number of `at` (SDM 3A 4.10.4.1); unlike INVLPG, not
     * the other pieces of a larger page (4.10.4.1, 4.10.2.3).
     */
    faulted?: boolean;
  }): void {
    for (const va of this.addresses) {
      if (what.faulted && what.at !== va) continue;
      const covered = (t: Translation) => what.at === undefined || (what.at ^ va) >> t.shift === 0n;
      for (const pcid of this.roots.keys()) {
        if (what.pcid !== undefined && pcid !== what.pcid) continue;
        const its = this.#of(va, pcid);
        drop(its.translations, covered);
        if (what.tables === "all" || what.at === va) for (const tables of its.tables) tables.clear();
      }
      if (what.globals) drop(this.#globalsOf(va), covered);
    }
  }

  forgetPhysical(gpa?: bigint): void {
    if (gpa === undefined) this.#physical.clear();
    else this.#physical.delete(gpa & FRAME);
  }
}

function drop(map: Map<string, Translation>, covered: (t: Translation) => boolean): void {
  for (const [key, t] of map) if (covered(t)) map.delete(key);
}
