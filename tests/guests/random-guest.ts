import { RecordEncoder } from "../../src/trace/encode.js";
import { Random } from "../core/random-world.js";
import {
  entryAddress,
  entryBytes,
  frameAddress,
  isLeaf,
  levelShift,
  rootAddress,
  stage1Format,
} from "../reference/entries.js";
import { CR0, CR4, EFER } from "../reference/registers.js";
import { type Access, PhysicalMemory, type Registers, translate } from "../reference/walker.js";

/**
 * A random guest that keeps the rules of SDM 3A 4.10: it edits its tables through its own mappings at any time, and
 * uses a changed translation only after an invalidation that covers it. What it records of each access is what a
 * fresh walk by the reference walker says.
 */
export type GuestMode = "4-level" | "5-level" | "pae" | "32-bit";

export interface Guest {
  stream: Uint8Array;
  /** Page faults recorded. */
  faults: number;
  /** What was done, for people. */
  log: string[];
}

const ACCESSED_DIRTY = 0x60n;
const KERNEL = 0x100;
const hex = (n: bigint | number) => `0x${n.toString(16)}`;
const UNPAGED = { kind: "none" } as const;

interface Change {
  /** When a present entry last changed, but for its flags. */
  any: number;
}

/** Guest memory in 4 KiB frames: */
const FIRST_TABLE = 0x100;
const FIRST_DATA = 0x180;
const FRAMES = 0x300;
const DEVICE_FRAME = 0xfee00;

export interface GuestOptions {
  steps?: number;
  hostEvents?: boolean;
  devices?: boolean;
  /** Largest store to a table, in bytes. */
  widest?: number;
  globals?: boolean;
  drops?: boolean;
}

export function randomGuest(seed: number, mode: GuestMode, options: GuestOptions = {}): Guest {
  const r = new Random(seed * 4 + ["4-level", "5-level", "pae", "32-bit"].indexOf(mode));
  const e = new RecordEncoder();
  const log: string[] = [];
  const long = mode === "4-level" || mode === "5-level";
  const levels = { "4-level": 4, "5-level": 5, pae: 3, "32-bit": 2 }[mode];
  const bytes = mode === "32-bit" ? 4 : 8;
  const bit = (mask: bigint, p = 0.5) => (r.chance(p) ? mask : 0n);
  const memory = new PhysicalMemory();
  const useGlobals = options.globals ?? r.chance(0.6);
  const useHost = options.hostEvents ?? r.chance(0.4);
  const useDevices = options.devices ?? r.chance(0.4);
  const useDrops = options.drops ?? r.chance(0.5);
  const widest = options.widest ?? Math.min(Number(process.env.NESTWALK_WIDEST ?? 64), r.pick([8, 8, 64]));
  const regs: Registers = {
    cr0: 0x8001_0033n,
    cr3: 0n,
    cr4:
      (mode === "32-bit" ? 0n : CR4.PAE) |
      (mode === "5-level" ? CR4.LA57 : 0n) |
      CR4.PSE |
      bit(CR4.SMEP, 0.3) |
      bit(CR4.SMAP, 0.3) |
      (long ? bit(CR4.PKE, 0.3) : 0n) |
      (useGlobals ? 0x80n : 0n),
    efer: (long ? EFER.LME | EFER.LMA : 0n) | (mode === "32-bit" ? 0n : bit(EFER.NXE, 0.85)) | 1n,
    pkru: 0n,
    pkrs: 0n,
    ac: false,
    cpl: 0,
    maxphyaddr: 46,
    vendor: "intel",
  };
  const format = () => stage1Format(mode, regs);
  const PCIDE = 1n << 17n;
  const PGE = 1n << 7n;
  let pcids = false;
  let now = 1;
  let faults = 0;

  /* ---- invalidations: when each kind last happened ---- */
  let allLocal = now;
  let allGlobal = now;
  const ofPcid = new Map<number, number>();
  const ofPage = new Map<string, number>();
  const ofPageGlobal = new Map<bigint, number>();
  const changes = new Map<bigint, Change>();
  const pcid = () => (pcids ? Number(regs.cr3 & 0xfffn) : 0);
  const vpnOf = (va: bigint) => va >> 12n;
  const localSince = (va: bigint) =>
    Math.max(allLocal, ofPcid.get(pcid()) ?? 0, ofPage.get(`${pcid()}:${vpnOf(va)}`) ?? 0);
  const globalSince = (va: bigint) => Math.max(allGlobal, ofPageGlobal.get(vpnOf(va)) ?? 0);

  const canonical = (va: bigint) =>
    long ? BigInt.asUintN(64, BigInt.asIntN(mode === "5-level" ? 57 : 48, va)) : BigInt.asUintN(32, va);
  const shift = (level: number) => BigInt(levelShift(format(), level));
  const vaOf = (...indices: number[]) => {
    /* from the top level down */
    let va = 0n;
    indices.forEach((index, i) => {
      va |= BigInt(index) << shift(levels - i);
    });
    return canonical(va);
  };
  const isKernel = (va: bigint) => (long ? va >> 63n !== 0n : va >= 0xc000_0000n);

  /** The entries that a walk of `va` reads, from the root, as far as it comes. */
  function path(va: bigint): { at: bigint; entry: bigint; level: number }[] {
    const f = format();
    let table = rootAddress(f, regs.cr3);
    const found = [];
    for (let level = levels; level >= 1; --level) {
      const at = entryAddress(f, table, level, va);
      const entry =
        mode === "pae" && level === 3 ? regs.pdptes![Number((va >> 30n) & 3n)]! : memory.read(at, bytes);
      found.push({ at, entry, level });
      if (!(entry & 1n) || isLeaf(f, level, entry)) break;
      table = frameAddress(f, level, false, entry);
    }
    return found;
  }

  /** Whether nothing cached may differ from a fresh walk of `va`. */
  function safe(va: bigint): boolean {
    const p = path(va);
    const since = localSince(va);
    const sinceGlobal = globalSince(va);
    for (const { at } of p) {
      const changed = changes.get(at)?.any ?? 0;
      if (changed > since) return false;
      if (isKernel(va) && useGlobals && changed > sinceGlobal) return false;
    }
    const leaf = p.at(-1)!;
    if (leaf.entry & 1n && leaf.entry & 0x100n && (!isKernel(va) || !useGlobals)) return false;
    return true;
  }

  const look = (va: bigint, access: Access) => translate(clone(), regs, UNPAGED, va, access);
  /** A walk without its flags. */
  function clone(): PhysicalMemory {
    const copy = new (class extends PhysicalMemory {
      override read64(a: bigint) {
        return memory.read64(a);
      }
      override read32(a: bigint) {
        return memory.read32(a);
      }
      override write64() {}
      override write32() {}
    })();
    return copy;
  }

  /* ---- layout ---- */
  const tables = new Set<number>();
  let nextTable = FIRST_TABLE;
  const newTable = () => {
    tables.add(nextTable);
    return nextTable++;
  };
  const fixed = new Set<bigint>(); // entries never edited
  const put = (frame: number, index: number, value: bigint) =>
    memory.write((BigInt(frame) << 12n) + BigInt(index * bytes), value, bytes);
  const isTable = (gpa: bigint) => tables.has(Number(gpa >> 12n));
  const link = (frame: number, flags: bigint) => (BigInt(frame) << 12n) | flags;
  const perTable = 4096 / bytes;

  const roots: number[] = [];
  const levelOf = new Map<number, number>();
  const make = (level: number) => {
    const t = newTable();
    levelOf.set(t, level);
    return t;
  };
  /* Kernel half: a direct map of all frames by 4 KiB pages, and one by 2 MiB (4 MiB) pages. */
  const kernelTop = long ? KERNEL : mode === "pae" ? 3 : 0x300;
  const kernelUpper: number[] = []; // tables of the kernel's chain, from below the root
  let directBase: bigint;
  let largeBase: bigint;
  let kernelEntry: bigint; // in every root
  const chain: number[] = [];
  if (long) {
    for (let level = levels - 1; level >= 3; --level) chain.push(make(level));
  }
  const pd = make(2 === levels ? 1 : 2);
  const pts: number[] = [];
  if (mode === "32-bit") {
    tables.delete(pd);
    levelOf.delete(pd);
    --nextTable;
    pts.push(make(1));
    directBase = BigInt(kernelTop) << 22n;
    largeBase = BigInt(kernelTop + 1) << 22n;
    kernelEntry = link(pts[0]!, 0x63n);
    for (let i = 0; i < FRAMES; ++i) {
      put(pts[0]!, i, (BigInt(i) << 12n) | 0x63n);
      fixed.add((BigInt(pts[0]!) << 12n) + BigInt(i * bytes));
    }
  } else {
    const per = 512;
    for (let i = 0; i * per < FRAMES; ++i) {
      const pt = make(1);
      pts.push(pt);
      for (let k = 0; k < per; ++k) {
        put(pt, k, (BigInt(i * per + k) << 12n) | 0x63n);
        fixed.add((BigInt(pt) << 12n) + BigInt(k * bytes));
      }
      put(pd, i, link(pt, 0x63n));
    }
    for (let i = 0; i < 2; ++i) put(pd, 8 + i, (BigInt(i) << 21n) | 0xe3n);
    for (let i = 0; i < 16; ++i) fixed.add((BigInt(pd) << 12n) + BigInt(i * bytes));
    let below = pd;
    for (const t of [...chain].reverse()) {
      put(t, 0, link(below, 0x63n));
      fixed.add(BigInt(t) << 12n);
      below = t;
    }
    kernelEntry = mode === "pae" ? link(pd, 1n) : link(below, 0x63n);
    const indices = [kernelTop, ...new Array(levels - 1).fill(0)];
    directBase = vaOf(...indices);
    indices[indices.length - 2] = 8;
    largeBase = vaOf(...indices);
  }
  kernelUpper.push(pd, ...chain);

  /* User half: a few tables of each level, linked at random, and shared between roots. */
  const userTables: number[][] = [[]];
  for (let level = 1; level < levels; ++level) {
    const n = level === 1 ? 3 : 2;
    userTables.push(Array.from({ length: n }, () => make(level)));
  }
  const nRoots = r.pick([1, 2, 3]);
  for (let i = 0; i < nRoots; ++i) {
    const root = make(levels);
    roots.push(root);
    put(root, kernelTop, kernelEntry);
    fixed.add((BigInt(root) << 12n) + BigInt(kernelTop * bytes));
    if (mode === "32-bit") {
      put(root, kernelTop + 1, 0xe3n);
      fixed.add((BigInt(root) << 12n) + BigInt((kernelTop + 1) * bytes));
    }
    /* Entries of the kernel half are the same in every root. */
    if (long) for (let k = 256; k < 512; ++k) fixed.add((BigInt(root) << 12n) + BigInt(k * bytes));
    if (mode === "32-bit")
      for (let k = 0x300; k < 1024; ++k) fixed.add((BigInt(root) << 12n) + BigInt(k * bytes));
    if (mode === "pae") for (let k = 0; k < 512; ++k) fixed.add((BigInt(root) << 12n) + BigInt(k * bytes));
  }
  const SLOTS = [0, 1, 3, 7, 9, perTable - 1];
  const topSlots = mode === "pae" ? [0, 1] : mode === "32-bit" ? [0, 1, 3] : [0, 1];

  /** A random entry for a table of `level`. */
  function randomEntry(level: number): bigint {
    if (r.chance(0.12)) return r.chance(0.7) ? 0n : r.bits(bytes * 8) & ~1n;
    let flags = 1n | bit(2n, 0.8) | bit(4n, 0.7) | bit(0x20n, 0.6) | bit(0x40n, 0.5);
    if (bytes === 8 && r.chance(0.15)) flags |= 1n << 63n;
    if (long && regs.cr4 & CR4.PKE) flags |= BigInt(r.below(4)) << 59n;
    if (r.chance(0.02) && bytes === 8) flags |= 1n << 50n; // reserved
    if (level > 1 && !(level === 2 && r.chance(0.25)) && !(level === 3 && long && r.chance(0.12))) {
      /* Mostly the next level; else any table, even this one. */
      const t = r.chance(0.85)
        ? r.pick(userTables[level - 1] ?? userTables[1]!)
        : r.pick([...tables].filter((t) => mode !== "pae" || !roots.includes(t)));
      return link(t, flags & ~0x80n);
    }
    if (level === 1) {
      const frame =
        useDevices && r.chance(0.06)
          ? DEVICE_FRAME + r.below(2)
          : r.chance(0.2)
            ? r.pick([...tables])
            : FIRST_DATA + r.below(FRAMES - FIRST_DATA);
      return link(frame, flags | bit(0x80n, 0.05));
    }
    const size = shift(level);
    const at = level === 2 ? BigInt(r.below(2)) << size : 0n;
    return at | flags | 0x80n;
  }
  for (let level = 1; level < levels; ++level)
    for (const t of userTables[level]!)
      for (const slot of SLOTS) if (r.chance(0.8)) put(t, slot, randomEntry(level));
  for (const root of roots)
    for (const slot of topSlots) {
      if (mode === "pae") put(root, slot, link(r.pick(userTables[2]!), 1n));
      else if (r.chance(0.9)) put(root, slot, randomEntry(levels));
    }
  /* A recursive slot, and kernel pages that may be global. */
  const recursive = long ? 0x1fe : mode === "32-bit" ? 0x3fe : -1;
  if (recursive >= 0) for (const root of roots) put(root, recursive, link(root, 0x63n));
  const globalTable = userKernelTable();
  function userKernelTable(): number {
    const t = make(1);
    if (mode === "32-bit") {
      for (const root of roots) put(root, kernelTop + 2, link(t, 0x63n));
    } else put(pd, 12, link(t, 0x63n));
    for (const slot of SLOTS) put(t, slot, kernelLeaf());
    return t;
  }
  function kernelLeaf(): bigint {
    if (r.chance(0.15)) return 0n;
    return link(
      FIRST_DATA + r.below(FRAMES - FIRST_DATA),
      0x21n | bit(2n, 0.7) | bit(0x40n) | (useGlobals ? bit(0x100n, 0.6) : 0n),
    );
  }
  const globalBase = mode === "32-bit" ? BigInt(kernelTop + 2) << 22n : directBase + (12n << 21n);

  /* ---- addresses of interest ---- */
  const pool: bigint[] = [];
  const combine = (level: number, prefix: number[]): void => {
    if (level === 0) {
      pool.push(vaOf(...prefix));
      return;
    }
    const slots = level === levels ? topSlots : level === 1 ? SLOTS : SLOTS.slice(0, 2);
    for (const slot of slots) combine(level - 1, [...prefix, slot]);
  };
  combine(levels, []);
  const kernelPool = SLOTS.map((slot) => globalBase + BigInt(slot) * 4096n);
  if (recursive >= 0) {
    for (const a of topSlots) {
      const rest = new Array(levels - 1).fill(recursive);
      rest[levels - 2] = a;
      pool.push(vaOf(recursive, ...rest));
      if (levels > 2) {
        rest[levels - 2] = r.pick(SLOTS);
        rest[levels - 3] = a;
        pool.push(vaOf(recursive, ...rest));
      }
    }
    pool.push(vaOf(...new Array(levels).fill(recursive)));
  }

  /* ---- what is recorded ---- */
  const truth = new Map<bigint, bigint>();
  let cpl = 0;
  function setMode(nextCpl: number, ac = false): void {
    if (cpl === nextCpl && regs.ac === ac) return;
    cpl = nextCpl;
    regs.ac = ac;
    regs.cpl = nextCpl;
    e.mode(nextCpl, ac);
    log.push(`mode ${nextCpl}${ac ? " ac" : ""}`);
  }
  function note(va: bigint, gpa: bigint): void {
    const vpn = vpnOf(va);
    if (truth.get(vpn) === gpa >> 12n) return;
    truth.set(vpn, gpa >> 12n);
    e.map(va, gpa);
    log.push(`map ${hex(va & ~0xfffn)} ${hex(gpa & ~0xfffn)}`);
  }
  /** Stores to table pages are recorded with what the entry holds afterwards. */
  function recordStore(
    va: bigint,
    size: number,
    gpas: bigint[],
    edit?: { gpa: bigint; data: bigint[] },
  ): void {
    const done = new Set<bigint>();
    for (let i = 0n; i < BigInt(size); ++i) {
      const page = ((va & 0xfffn) + i) >> 12n;
      const gpa = (gpas[Number(page)]! & ~0xfffn) | ((va + i) & 0xfffn);
      const at = gpa & ~7n;
      if (!isTable(gpa) || done.has(at)) continue;
      done.add(at);
      if (edit && at >= (edit.gpa & ~7n) && at < (edit.gpa & ~7n) + 8n * BigInt(edit.data.length)) {
        const old = memory.read64(at);
        const value = edit.data[Number((at - (edit.gpa & ~7n)) / 8n)]!;
        memory.write64(at, value);
        for (let k = 0; k < 8; k += bytes) {
          const mask = bytes === 8 ? ~0n : 0xffff_ffffn << BigInt(8 * k);
          const oldEntry = BigInt.asUintN(64, old & mask) >> BigInt(8 * k);
          const newEntry = BigInt.asUintN(64, value & mask) >> BigInt(8 * k);
          if ((oldEntry ^ newEntry) & ~ACCESSED_DIRTY && oldEntry & 1n)
            changes.set(at + BigInt(k), { any: ++now });
        }
      }
      e.ptw(at, memory.read64(at));
      log.push(`ptw ${hex(at)} = ${hex(memory.read64(at))}`);
    }
  }

  /** One access, if nothing stale can show in it; its fault if it has one. Returns whether it was made. */
  function access(
    va: bigint,
    size: number,
    kind: Access["kind"],
    how: { implicit?: boolean; edit?: { gpa: bigint; data: bigint[] } } = {},
  ): boolean {
    const a: Access = { kind, user: cpl === 3, implicit: how.implicit ?? false };
    const pages = [va];
    if ((va & 0xfffn) + BigInt(size) > 4096n) pages.push(canonical((va | 0xfffn) + 1n));
    if (!pages.every(safe)) return false;
    /* The second page must not depend on flags that the first one sets in a table: walk both before. */
    const first = pages.map((page) => look(page, a));
    const gpas: bigint[] = [];
    for (const [i, outcome] of first.entries()) {
      if (!outcome.ok) {
        if (!("fault" in outcome) || outcome.fault !== "PF" || how.implicit) return false;
        if (i > 0 && gpas.length === 0) return false;
        const code = outcome.errorCode;
        /* A refused fetch without the I/D bit is replayed as a read: the same only where the page is not there. */
        if (kind === "fetch" && !(code & 16) && code & 1 && !(code & 8)) return false;
        e.exception(14, code, 0x1000, outcome.cr2);
        ++faults;
        log.push(`fault ${kind} ${hex(outcome.cr2)} code ${code}`);
        return true;
      }
      gpas.push(outcome.gpa);
    }
    if (kind === "fetch" && gpas.some((g) => g >> 12n >= DEVICE_FRAME)) return false;
    const device = gpas.some((g) => g >> 12n >= BigInt(DEVICE_FRAME) && g >> 12n < BigInt(DEVICE_FRAME + 16));
    if (device && gpas.length > 1) return false;
    /* A store that an ordinary access makes to a table leaves its entries as they are; one of a part is not done. */
    for (const [i, page] of pages.entries()) note(page, gpas[i]!);
    for (const page of pages) translate(memory, regs, UNPAGED, page, a);
    const flags = { cpu: how.implicit ?? false, device };
    if (kind === "fetch") e.fetch(va, size);
    else if (kind === "read") e.read(va, size, flags);
    else e.write(va, size, flags);
    log.push(`${kind} ${hex(va)} ${size}${device ? " device" : ""}${how.implicit ? " implicit" : ""}`);
    if (kind === "write") recordStore(va, size, gpas, how.edit);
    return true;
  }

  /** Writes `data` (8-byte words at the aligned `gpa`) by a store of `size` bytes through some mapping of it. */
  function store(gpa: bigint, size: number, data: bigint[]): boolean {
    const aliases = [directBase + gpa, directBase + gpa, ...(gpa < 1n << 22n ? [largeBase + gpa] : [])];
    const user: bigint[] = [];
    for (const va of pool) {
      if (!safe(va)) continue;
      const seen = look(va, { kind: "read", user: false, implicit: false });
      if (seen.ok && seen.gpa >> 12n === gpa >> 12n) user.push((va & ~0xfffn) | (gpa & 0xfffn));
    }
    const before = { cpl, ac: regs.ac };
    if (user.length > 0 && r.chance(0.6)) {
      const va = r.pick(user);
      setMode(r.pick([0, 3]), r.chance(0.5));
      const seen = look(va, { kind: "write", user: cpl === 3, implicit: false });
      if (seen.ok && seen.gpa === gpa) return access(va, size, "write", { edit: { gpa, data } });
      setMode(before.cpl, before.ac);
    }
    setMode(0, regs.ac);
    return access(r.pick(aliases), size, "write", { edit: { gpa, data } });
  }

  function editTable(): void {
    const level = 1 + r.below(mode === "pae" ? 2 : levels);
    const kernel = r.chance(0.2);
    const t = kernel ? globalTable : level === levels ? r.pick(roots) : r.pick(userTables[level]!);
    if (!tables.has(t)) return;
    const slot = kernel || level !== levels ? r.pick(SLOTS) : r.pick(topSlots);
    const entryAt = (BigInt(t) << 12n) + BigInt(slot * bytes);
    const value = (): bigint =>
      kernel
        ? kernelLeaf()
        : r.chance(0.25)
          ? memory.read(entryAt, bytes) ^ r.pick([2n, 4n, 0x20n, 0x40n, 0x60n, 1n, 6n])
          : randomEntry(level);
    let sizes = [1, 2, 4, 8, 8, 8, 8, 16, 32, 64].filter((s) => s <= widest);
    if (bytes === 4) sizes = sizes.filter((s) => s <= 8);
    const size = r.pick(sizes);
    if (size <= 8) {
      const at = entryAt & ~7n;
      const old = memory.read64(at);
      let now8 = old;
      let from = entryAt;
      if (bytes === 4 && size === 4)
        now8 = (old & ~(0xffff_ffffn << ((entryAt & 4n) * 8n))) | (value() << ((entryAt & 4n) * 8n));
      else if (bytes === 4 && size === 8) {
        from = at;
        const other =
          fixed.has(at) || fixed.has(at + 4n)
            ? old & (0xffff_ffffn << ((~entryAt & 4n) * 8n))
            : memory.read(at ^ (~entryAt & 4n), 4) << ((~entryAt & 4n) * 8n);
        now8 =
          (value() << ((entryAt & 4n) * 8n)) |
          (bytes === 4 ? other & (0xffff_ffffn << ((~entryAt & 4n) * 8n)) : 0n);
      } else if (size === 8) now8 = value();
      else {
        /* A part of an entry: its low bytes (flags), or the bytes of its address. */
        const off = size === 4 && r.chance(0.5) ? 4n : 0n;
        if (off !== 0n && bytes === 8) from = at + 4n;
        const mask = ((1n << BigInt(size * 8)) - 1n) << (BigInt(from - at) * 8n);
        const v = bytes === 8 ? value() : value() << ((entryAt & 4n) * 8n);
        now8 = (old & ~mask) | (v & mask);
      }
      now8 = BigInt.asUintN(64, now8);
      if (store(from, size, [now8])) log.push(`  edit of ${size} bytes at level ${level}`);
      return;
    }
    /* Several entries by one wide store. */
    const first = entryAt & ~BigInt(size - 1);
    const data: bigint[] = [];
    for (let i = 0n; i < BigInt(size); i += 8n) {
      const at = first + i;
      data.push(
        fixed.has(at) || !SLOTS.includes(Number((at & 0xfffn) / 8n))
          ? memory.read64(at)
          : r.chance(0.7)
            ? kernel
              ? kernelLeaf()
              : randomEntry(level)
            : memory.read64(at),
      );
    }
    if (store(first, size, data)) log.push(`  edit of ${size} bytes at level ${level}`);
  }

  /* ---- invalidations ---- */
  function flushLocal(p: number): void {
    ofPcid.set(p, ++now);
  }
  function flushAll(): void {
    allLocal = allGlobal = ++now;
  }
  const rootOfPcid = new Map<number, bigint>();
  function loadCr3(root: number, p: number, keep: boolean): void {
    const value = (BigInt(root) << 12n) | BigInt(pcids ? p : 0);
    const known = rootOfPcid.get(pcids ? p : 0);
    const noFlush = pcids && keep && (known === undefined || known === BigInt(root));
    regs.cr3 = value;
    e.cr3(value | (noFlush ? 1n << 63n : 0n));
    log.push(`cr3 ${hex(value)}${noFlush ? " keep" : ""}`);
    if (!noFlush) flushLocal(pcids ? p : 0);
    rootOfPcid.set(pcids ? p : 0, BigInt(root));
    if (mode === "pae") readPdptes();
  }
  function readPdptes(): void {
    const at = rootAddress(format(), regs.cr3);
    regs.pdptes = [0n, 8n, 16n, 24n].map((o) => memory.read64(at + o)) as [bigint, bigint, bigint, bigint];
  }
  function loadCr4(value: bigint): void {
    const changed = value ^ regs.cr4;
    regs.cr4 = value;
    e.cr4(value);
    log.push(`cr4 ${hex(value)}`);
    if (changed & PGE || (changed & PCIDE && !(value & PCIDE))) flushAll();
    else if (changed & value & CR4.SMEP) {
      flushLocal(pcid()); // and globals, of that PCID
    }
  }
  function anyVa(): bigint {
    return r.chance(0.25) ? r.pick(kernelPool) : r.pick(pool);
  }
  function invalidate(): void {
    setMode(0, regs.ac);
    const stale = [...pool, ...kernelPool].filter((va) => !safe(va));
    const va = stale.length > 0 && r.chance(0.85) ? r.pick(stale) : anyVa();
    switch (r.below(9)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        e.invlpg(va);
        log.push(`invlpg ${hex(va)}`);
        ofPage.set(`${pcid()}:${vpnOf(va)}`, ++now);
        ofPageGlobal.set(vpnOf(va), now);
        break;
      case 5: {
        const p = pcids ? r.pick([pcid(), pcid(), r.below(4)]) : 0;
        const type = r.below(4);
        e.invpcid(type, p, va);
        log.push(`invpcid ${type} ${p} ${hex(va)}`);
        if (type === 0) ofPage.set(`${p}:${vpnOf(va)}`, ++now);
        else if (type === 1) flushLocal(p);
        else if (type === 2) flushAll();
        else allLocal = ++now;
        break;
      }
      case 6:
        loadCr3(Number(regs.cr3 >> 12n), pcid(), false);
        break;
      case 7:
        if (useGlobals) {
          loadCr4(regs.cr4 ^ PGE);
          if (r.chance(0.8)) loadCr4(regs.cr4 ^ PGE);
        } else loadCr3(Number(regs.cr3 >> 12n), pcid(), false);
        break;
      default:
        e.invpcid(2, 0, 0);
        log.push("invpcid 2");
        flushAll();
    }
  }

  function changeMode(): void {
    setMode(0, regs.ac);
    switch (r.below(long ? 7 : 5)) {
      case 0:
        regs.cr0 ^= CR0.WP;
        e.cr0(regs.cr0);
        log.push(`cr0 ${hex(regs.cr0)}`);
        break;
      case 1:
        loadCr4(regs.cr4 ^ CR4.SMEP);
        break;
      case 2:
        loadCr4(regs.cr4 ^ CR4.SMAP);
        break;
      case 3:
      case 4:
        loadCr3(r.pick(roots), pcids ? r.below(4) : 0, r.chance(0.6));
        break;
      case 5:
        if (r.chance(0.3)) {
          regs.efer ^= EFER.NXE;
          e.efer(regs.efer);
          log.push(`efer ${hex(regs.efer)}`);
          e.invpcid(2, 0, 0);
          flushAll();
          break;
        }
        regs.pkru = r.bits(8);
        e.pkru(Number(regs.pkru));
        log.push(`pkru ${hex(regs.pkru)}`);
        break;
      default:
        if (regs.cr4 & PCIDE) {
          if (r.chance(0.8)) return;
          loadCr4(regs.cr4 ^ PCIDE);
          pcids = false;
          regs.cr3 &= ~0xfffn;
          /* CR3 keeps its low bits, which mean nothing now. */
          loadCr3(Number(regs.cr3 >> 12n), 0, false);
          rootOfPcid.clear();
          rootOfPcid.set(0, regs.cr3 >> 12n);
          flushAll();
          e.invpcid(2, 0, 0);
        } else {
          loadCr3(Number(regs.cr3 >> 12n), 0, false);
          loadCr4(regs.cr4 | PCIDE);
          pcids = true;
        }
    }
  }

  function hostEvent(): void {
    const what = r.pick(["unmap", "share", "dirty-log"] as const);
    const first = r.chance(0.5) ? FIRST_TABLE + r.below(nextTable - FIRST_TABLE) : r.below(FRAMES);
    const n = r.pick([1, 2, 7, 64, 600]);
    e.host(what, first, n);
    log.push(`host ${what} ${hex(first)} ${n}`);
  }

  /** A table that nothing points to is dropped, and comes back as another. */
  const dropped: { frame: number; level: number }[] = [];
  function dropOrReturn(): void {
    if (dropped.length > 0 && r.chance(0.6)) {
      const { frame, level } = dropped.pop()!;
      tables.add(frame);
      const list: [number, bigint][] = [];
      for (let i = 0n; i < 4096n; i += BigInt(bytes)) {
        const at = (BigInt(frame) << 12n) + i;
        const old = memory.read(at, bytes);
        if (old & 1n) changes.set(at, { any: ++now });
        memory.write(at, 0n, bytes);
      }
      for (const slot of SLOTS) if (r.chance(0.7)) put(frame, slot, randomEntry(level));
      for (let i = 0; i < 512; ++i) {
        const word = memory.read64((BigInt(frame) << 12n) + BigInt(8 * i));
        if (word !== 0n) list.push([i, word]);
      }
      e.ptp(frame, level, list);
      log.push(`ptp ${hex(frame)} level ${level}`);
      return;
    }
    const level = 1 + r.below(Math.min(2, levels - 1));
    const frame = r.pick(userTables[level]!);
    if (!tables.has(frame)) return;
    /* Unlink it everywhere first. */
    for (const t of tables)
      for (let i = 0n; i < 4096n; i += BigInt(bytes)) {
        const at = (BigInt(t) << 12n) + i;
        const entry = memory.read(at, bytes);
        if (!(entry & 1n) || (entry >> 12n) % (1n << 34n) !== BigInt(frame)) continue;
        if (fixed.has(at)) continue;
        const word = at & ~7n;
        const old = memory.read64(word);
        const mask = bytes === 8 ? ~0n : 0xffff_ffffn << ((at & 4n) * 8n);
        if (!store(at, bytes, [BigInt.asUintN(64, old & ~mask)])) return;
      }
    if (mode === "pae") return;
    tables.delete(frame);
    dropped.push({ frame, level });
    e.ptpDrop(frame);
    log.push(`drop ${hex(frame)}`);
    /* Before it serves as anything else, nothing may walk it. */
    e.invpcid(2, 0, 0);
    flushAll();
  }

  /* ---- the guest ---- */
  regs.cr3 = BigInt(roots[0]!) << 12n;
  rootOfPcid.set(0, BigInt(roots[0]!));
  e.cr0(regs.cr0).cr4(regs.cr4).efer(regs.efer);
  const announce = (t: number) => {
    const list: [number, bigint][] = [];
    for (let i = 0; i < 512; ++i) {
      const word = memory.read64((BigInt(t) << 12n) + BigInt(8 * i));
      if (word !== 0n) list.push([i, word]);
    }
    e.ptp(t, levelOf.get(t) ?? 1, list);
  };
  if (mode === "pae") for (const t of tables) announce(t);
  e.cr3(regs.cr3);
  if (mode !== "pae") for (const t of tables) announce(t);
  if (mode === "pae") readPdptes();
  e.mode(0);
  const steps = options.steps ?? 120 + r.below(300);
  for (let i = 0; i < steps; ++i) {
    const x = r.next();
    if (x < 0.5) {
      if (r.chance(0.25)) setMode(r.pick([0, 3]), r.chance(0.3));
      const va = anyVa() | BigInt(r.chance(0.1) ? 4090 : r.below(500) * 8);
      const kind = r.pick(["read", "read", "write", "fetch"] as const);
      const size = kind === "fetch" ? 1 + r.below(15) : r.pick([1, 2, 4, 8, 16, 64]);
      access(va, size, kind, kind !== "fetch" && r.chance(0.05) ? { implicit: true } : {});
    } else if (x < 0.72) editTable();
    else if (x < 0.88) invalidate();
    else if (x < 0.95) changeMode();
    else if (x < 0.97 && useHost) hostEvent();
    else if (x < 0.985 && useDrops) dropOrReturn();
    else if (r.chance(0.5)) e.insn(r.pick([4, 5, 6, 7, 8]));
    else e.exception(32, 0, 0, 0);
  }
  void entryBytes;
  return { stream: e.end().take(), faults, log };
}
