import { bits } from "./bits.js";
import { CR0, CR4, EFER } from "./registers.js";
import {
  type Access,
  type Ept,
  type Npt,
  type Options,
  type Outcome,
  PhysicalMemory,
  type Registers,
  type Stage2,
  translate,
} from "./walker.js";

export const GB = 1n << 30n;
const PS = 1n << 7n;
const FRAME = bits(51, 12);

export const READ: Access = { kind: "read", user: false, implicit: false };
export const WRITE: Access = { kind: "write", user: false, implicit: false };
export const FETCH: Access = { kind: "fetch", user: false, implicit: false };
export const USER_READ: Access = { ...READ, user: true };
export const USER_WRITE: Access = { ...WRITE, user: true };
export const USER_FETCH: Access = { ...FETCH, user: true };

export const LONG_MODE: Registers = {
  cr0: CR0.PG | CR0.WP | 1n,
  cr3: 0n,
  cr4: CR4.PAE,
  efer: EFER.LME | EFER.LMA | EFER.NXE,
  pkru: 0n,
  pkrs: 0n,
  ac: false,
  cpl: 0,
  maxphyaddr: 52,
  vendor: "intel",
};

interface Path {
  root: bigint;
  levels: number;
  leafLevel: number;
  address: bigint;
  frame: bigint;
  nonleafFlags: bigint;
  leafFlags: bigint;
  allocate: () => bigint;
  /** Where a table lies in host memory. */
  place?: (table: bigint) => bigint;
}

/** Writes one path of 8-byte entries, sharing tables already there; returns each level's entry address. */
export function mapPage(memory: PhysicalMemory, path: Path): Map<number, bigint> {
  const { place = (table) => table, leafLevel } = path;
  const entries = new Map<number, bigint>();
  let table = path.root;
  for (let level = path.levels; level >= leafLevel; level--) {
    const index = (path.address >> BigInt(3 + 9 * level)) & 0x1ffn;
    const hpa = place(table) + 8n * index;
    entries.set(level, hpa);
    if (level === leafLevel) {
      memory.write64(hpa, path.frame | path.leafFlags | (level > 1 ? PS : 0n));
    } else {
      if (memory.read64(hpa) === 0n) memory.write64(hpa, path.allocate() | path.nonleafFlags);
      table = memory.read64(hpa) & FRAME;
    }
  }
  return entries;
}

export interface GuestShape {
  levels: 4 | 5;
  leafLevel: number;
}

export interface HostShape {
  kind: "ept" | "npt";
  levels: 4 | 5;
  /** Levels of the host leaves that back the guest's tables, and its data. */
  tableLeaf: number;
  dataLeaf: number;
}

export interface World {
  memory: PhysicalMemory;
  regs: Registers;
  stage2: Stage2;
  gva: bigint;
  gpa: bigint;
  hpa: bigint;
  /** Guest entry by level: where the guest and where the host sees it. */
  guest: Map<number, { gpa: bigint; hpa: bigint }>;
  /** Host entry by guest level (0: the data page) and host level. */
  host: Map<number, Map<number, bigint>>;
  /** The access to gva. */
  run(access: Access, options?: Options): Outcome;
  /** The host entry of this level: the data page's, or that of the page of a guest table. */
  entry(level: number, guestLevel?: number): bigint;
  edit(level: number, change: (entry: bigint) => bigint, guestLevel?: number): void;
  /** The same for the guest's own entry. */
  editGuest(level: number, change: (entry: bigint) => bigint): void;
}

const GUEST_TABLES = 1n * GB;
const GUEST_TABLES_HPA = 64n * GB;
const DATA_HPA = 128n * GB;
const HOST_ROOT = 0x1000_0000n;
const OFFSET = 0x1238n;

const ALL = 7n;
const EPT_LEAF = 0x37n;
const EPT_USER_EXECUTE = 1n << 10n;

/**
 * A guest that maps one page, natively or over a second stage. The data page's host path shares only the root
 * table with the paths of the guest's tables, so that a test may break either alone.
 */
export function buildWorld(guest: GuestShape, host?: HostShape): World {
  const memory = new PhysicalMemory();
  let guestTables = 0n;
  const allocateGuest = () => GUEST_TABLES + 0x1000n * ++guestTables;
  const placeGuest = (gpa: bigint) => (host ? gpa - GUEST_TABLES + GUEST_TABLES_HPA : gpa);

  const gva = (guest.levels === 5 ? 1n << 52n : 1n << 45n) + 3n * GB + OFFSET;
  const dataPage = host ? 1n << BigInt(3 + 9 * host.levels) : 4n * GB;
  const gpa = dataPage + (gva & (GB - 1n));
  const guestEntries = mapPage(memory, {
    ...guest,
    root: GUEST_TABLES,
    address: gva,
    frame: gpa & ~bits(2 + 9 * guest.leafLevel, 0),
    nonleafFlags: ALL,
    leafFlags: ALL,
    allocate: allocateGuest,
    place: placeGuest,
  });

  const regs = { ...LONG_MODE, cr3: GUEST_TABLES };
  if (guest.levels === 5) regs.cr4 |= CR4.LA57;
  const guestByLevel = new Map<number, { gpa: bigint; hpa: bigint }>();
  for (const [level, hpa] of guestEntries) {
    guestByLevel.set(level, { gpa: host ? hpa - GUEST_TABLES_HPA + GUEST_TABLES : hpa, hpa });
  }
  const hostEntry = (level: number, guestLevel: number) => world.host.get(guestLevel)!.get(level)!;
  const editAt = (at: bigint, change: (entry: bigint) => bigint) =>
    memory.write64(at, change(memory.read64(at)));
  const world: World = {
    memory,
    regs,
    stage2: { kind: "none" },
    gva,
    gpa,
    hpa: gpa,
    guest: guestByLevel,
    host: new Map(),
    run: (access, options) => translate(memory, world.regs, world.stage2, gva, access, options),
    entry: (level, guestLevel = 0) => memory.read64(hostEntry(level, guestLevel)),
    edit: (level, change, guestLevel = 0) => editAt(hostEntry(level, guestLevel), change),
    editGuest: (level, change) => editAt(guestByLevel.get(level)!.hpa, change),
  };
  return host ? addHost(world, host) : world;
}

function addHost(world: World, host: HostShape): World {
  const { memory } = world;
  let hostTables = 0n;
  const map = (address: bigint, page: bigint, leafLevel: number) => {
    const offset = bits(2 + 9 * leafLevel, 0);
    return mapPage(memory, {
      root: HOST_ROOT,
      levels: host.levels,
      leafLevel,
      address,
      frame: page & ~offset,
      nonleafFlags: host.kind === "ept" ? ALL | EPT_USER_EXECUTE : ALL,
      leafFlags: host.kind === "ept" ? EPT_LEAF | EPT_USER_EXECUTE : ALL,
      allocate: () => HOST_ROOT + 0x1000n * ++hostTables,
    });
  };

  for (const [level, { gpa, hpa }] of world.guest) {
    world.host.set(level, map(gpa, hpa, host.tableLeaf));
  }
  world.hpa = DATA_HPA + (world.gpa & (GB - 1n));
  world.host.set(0, map(world.gpa, world.hpa, host.dataLeaf));
  world.stage2 = host.kind === "ept" ? eptOf(host) : nptOf(host);
  return world;
}

function eptOf({ levels }: HostShape): Ept {
  return {
    kind: "ept",
    root: HOST_ROOT,
    levels,
    maxphyaddr: 46,
    accessedDirty: false,
    executeOnly: true,
    mbec: false,
  };
}

function nptOf({ levels }: HostShape): Npt {
  const hostCr4 = CR4.PAE | (levels === 5 ? CR4.LA57 : 0n);
  return { kind: "npt", root: HOST_ROOT, levels, maxphyaddr: 46, hostEfer: LONG_MODE.efer, hostCr4 };
}

interface EptShape {
  levels?: 4 | 5;
  dataLeaf?: number;
  guest?: GuestShape;
}

export function eptWorld(settings: Partial<Ept> = {}, shape: EptShape = {}) {
  const { levels = 4, dataLeaf = 1, guest = { levels: 4, leafLevel: 1 } } = shape;
  const world = buildWorld(guest, { kind: "ept", levels, tableLeaf: 1, dataLeaf });
  const ept = { ...(world.stage2 as Ept), ...settings };
  world.stage2 = ept;
  return { ...world, ept };
}

export type EptWorld = ReturnType<typeof eptWorld>;

export function nptWorld(settings: Partial<Npt> = {}, levels: 4 | 5 = 4, leaf = 1) {
  const world = buildWorld(
    { levels: 4, leafLevel: 1 },
    { kind: "npt", levels, tableLeaf: leaf, dataLeaf: leaf },
  );
  world.regs.vendor = "amd";
  world.stage2 = { ...(world.stage2 as Npt), ...settings };
  return world;
}

/** Memory that counts its writes, for what must not be written. */
export class CountingMemory extends PhysicalMemory {
  writes = 0;

  override write64(hpa: bigint, value: bigint): void {
    this.writes++;
    super.write64(hpa, value);
  }
}

/** One native 4-KByte page of 4-level tables: entries with `upper` flags, the leaf with `leaf`. */
export function buildPage(leaf: bigint, upper = ALL) {
  const memory = new CountingMemory();
  const regs: Registers = { ...LONG_MODE, cr3: 0x1000n };
  const gva = 0x40_2010_1000n;
  let tables = regs.cr3;
  const allocate = () => {
    tables += 0x1000n;
    return tables;
  };
  const path = { root: regs.cr3, levels: 4, leafLevel: 1, address: gva, frame: 0x9000n, allocate };
  const entries = mapPage(memory, { ...path, nonleafFlags: upper, leafFlags: leaf });
  return { memory, regs, gva, entries, leafEntry: entries.get(1)! };
}
