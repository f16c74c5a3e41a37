import { A, CR4, DATA, G, LONG, NO_FLUSH, P, RW, TlbMachine, US } from "./machine.js";

/** One address space as the caches tell them apart. */
export interface Space {
  pcid: number;
  /** With a second stage. */
  vpid?: number;
  eptp?: "X" | "Y";
}

/** What of an address space can be cached. */
export const KINDS = ["page", "other", "large", "global", "path"] as const;
export type Kind = (typeof KINDS)[number];

/** Addresses, far enough apart that no two share a table below the root. */
export const VA = {
  page: 0x80_4020_1000n,
  other: 0x100_4020_1000n,
  large: 0x180_4020_0000n,
  global: 0x200_4020_1000n,
  path: 0x280_4020_1000n,
  alias: 0x300_4020_1000n,
} as const;
/** In the 2 MiB of `path`, never touched before the event: translated through the cached path or anew. */
const PROBE = VA.path + 0x1000n;
const ALIAS_PROBE = VA.alias + 0x1000n;

const LARGE_FRAME = 0x1_4000_0000n;

/**
 * Address spaces with a page of every kind, all in the TLBs and paging-structure caches, whose tables then change
 * behind the caches. After an event, `kept` tells for each space what is still translated as before.
 */
export class Spaces {
  readonly machine: TlbMachine;
  readonly roots = new Map<number, bigint>();
  readonly eptps = new Map<string, bigint>();
  #eptLeaf = new Map<string, bigint>();
  #old = new Map<string, bigint>();

  constructor(
    readonly spaces: readonly Space[],
    options: { cr4?: bigint; vpid?: number } = {},
  ) {
    const nested = spaces.some((s) => s.eptp !== undefined);
    const cr4 = options.cr4 ?? LONG.cr4 | CR4.PCIDE;
    const m = new TlbMachine({ cr4 }, nested ? {} : undefined, { vpid: options.vpid ?? 1 });
    this.machine = m;
    for (const { eptp } of spaces) {
      if (eptp === undefined || this.eptps.has(eptp)) continue;
      const pointer = m.ept();
      this.eptps.set(eptp, pointer);
      const offset = eptp === "X" ? 0x10_0000_0000n : 0x20_0000_0000n;
      for (let i = 0n; i < 64n; ++i) m.eptMap(pointer, DATA + 0x1000n * i, DATA + offset + 0x1000n * i);
      m.eptMap(pointer, LARGE_FRAME, LARGE_FRAME + offset, 2);
      m.eptMap(pointer, LARGE_FRAME + 0x20_0000n, LARGE_FRAME + offset + 0x20_0000n, 2);
      this.#eptLeaf.set(eptp, m.eptMap(pointer, DATA + 0x3f000n, DATA + offset + 0x3f000n));
    }
    let frame = DATA;
    const next = () => {
      frame += 0x1000n;
      return frame;
    };
    const changes: (() => void)[] = [];
    const globalFrame = next();
    const globalAfter = next();
    for (const pcid of new Set(spaces.map((s) => s.pcid))) {
      const root = m.table();
      this.roots.set(pcid, root);
      const flags = P | RW | US | A;
      for (const kind of ["page", "other"] as const) {
        const at = m.map(root, VA[kind], next(), flags & ~US);
        const after = next();
        changes.push(() => m.remap(at, after));
      }
      const large = m.map(root, VA.large, LARGE_FRAME, flags & ~US, 2);
      changes.push(() => m.remap(large, LARGE_FRAME + 0x20_0000n));
      const global = m.map(root, VA.global, globalFrame, (flags & ~US) | G);
      changes.push(() => m.remap(global, globalAfter));
      m.map(root, VA.path, next(), flags & ~US);
      m.map(root, PROBE, next());
      const pde = m.entryAt(root, VA.path, 2);
      const otherTable = m.table();
      m.mmu.write(otherTable + 8n * ((PROBE >> 12n) & 0x1ffn), next() | flags);
      changes.push(() => m.remap(pde, otherTable));
      m.map(root, VA.alias, DATA + 0x3f000n);
      m.map(root, ALIAS_PROBE, DATA + 0x3f000n);
    }
    const ordered = [...spaces].reverse();
    for (const space of ordered) {
      this.enter(space);
      for (const kind of KINDS) {
        this.#old.set(this.#name(space, kind), m.frameOf(VA[kind]));
        m.touch(VA[kind], { kind: "fetch", user: false, implicit: false });
      }
      if (space.eptp) this.#old.set(space.eptp, m.frameOf(VA.alias));
    }
    /* What a path would still give: the frame of its old table. */
    for (const space of spaces) {
      const gpa = this.machine.mmu.read(m.entryAt(this.roots.get(space.pcid)!, PROBE, 1)) & ~0xfffn;
      const offset = space.eptp === undefined ? 0n : space.eptp === "X" ? 0x10_0000_0000n : 0x20_0000_0000n;
      this.#old.set(this.#name(space, "path"), gpa + offset);
    }
    for (const change of changes) change();
    for (const [, at] of this.#eptLeaf) m.remap(at, 0x30_0000_0000n);
    this.enter(spaces[0]!);
  }

  #name(space: Space, kind: Kind): string {
    return `${space.vpid ?? 0}/${space.eptp ?? ""}/${space.pcid}/${kind}`;
  }

  /** CR3 of a space, without flushing. */
  cr3(space: Space): bigint {
    const pcids = (this.machine.mmu.state().cr4 & CR4.PCIDE) !== 0n;
    return this.roots.get(space.pcid)! | (pcids ? BigInt(space.pcid) | NO_FLUSH : 0n);
  }

  /** Makes a space the current one; nothing is invalidated by that with VPIDs and PCIDs on. */
  enter(space: Space): void {
    const { mmu } = this.machine;
    if (space.eptp) {
      const ended = mmu.enter(this.eptps.get(space.eptp)!, space.vpid);
      if (ended !== "ok") throw new Error(`VM entry: ${JSON.stringify(ended)}`);
    }
    /* With one PCID there is nothing to load, and a load without PCIDs would flush. */
    if (this.roots.size === 1 && (mmu.state().cr3 & ~0xfffn) === this.roots.get(space.pcid)) return;
    const ended = mmu.load("cr3", this.cr3(space));
    if (ended !== "ok") throw new Error(`MOV CR3: ${JSON.stringify(ended)}`);
  }

  /** What each space still translates as before, in words. Guest-physical mappings by EPTP. */
  kept(): Record<string, string> {
    const m = this.machine;
    const found: Record<string, string> = {};
    const physical: string[] = [];
    for (const eptp of this.eptps.keys()) {
      const space = this.spaces.find((s) => s.eptp === eptp)!;
      this.enter(space);
      if (m.frameOf(ALIAS_PROBE) === this.#old.get(eptp)) physical.push(eptp);
    }
    for (const space of this.spaces) {
      this.enter(space);
      const kept = KINDS.filter((kind) => {
        return m.frameOf(kind === "path" ? PROBE : VA[kind]) === this.#old.get(this.#name(space, kind));
      });
      const name = space.eptp
        ? `vpid ${space.vpid} ept ${space.eptp} pcid ${space.pcid}`
        : `pcid ${space.pcid}`;
      found[name] = kept.join(" ");
    }
    if (this.eptps.size > 0) found["guest-physical"] = physical.join(" ");
    return found;
  }
}
