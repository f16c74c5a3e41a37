import { EventType } from "../records.js";
import type { TraceSource } from "../source.js";
import { type AccessKind, BY_CPU, type GuestEvent, walkRecords } from "./decode.js";
import { addressOf, GuestTables, hexOf, type Leaf, pageOf } from "./tables.js";

/** What a check found. */
export interface CheckReport {
  events: number;
  accesses: number;
  /** Accesses, by page, that the recorded tables translate as the recording says. */
  translated: number;
  /** Of those, accesses that no MAP says anything of. */
  withoutTruth: number;
  /**
   * Of those, accesses that used a translation which the tables held no more, and which nothing had invalidated since it
   * was used: a TLB may keep it (SDM 3A 4.10.2, 4.10.4).
   */
  stale: number;
  /** Accesses before there was a CR3, or of a trace without tables. */
  untranslated: number;
  /** The first record that cannot be, in a sentence; undefined when all is well. */
  fault: string | undefined;
  /** Index of that record, from 0. */
  faultEvent: number | undefined;
}

const UNKNOWN = Number((1n << 52n) - 1n);
const CR4_PGE = 1n << 7n;
const KINDS = ["fetch", "read", "write"];
/** Events that only a recording with page tables has. */
const TABLE_EVENTS = new Set<number>([
  ...[EventType.CR0, EventType.CR3, EventType.CR4, EventType.EFER, EventType.INVLPG, EventType.INVPCID],
  ...[EventType.PTP, EventType.PTPDROP, EventType.PTW, EventType.MAP],
]);

/**
 * A TLB without bounds that only the recorded events flush: a hit that disagrees with the tables means that an
 * invalidation is missing from the trace. Entries by PCID, then by page of their leaf; -1 holds the global ones.
 */
class Tlb {
  #spaces = new Map<number, Map<number, Leaf>>();

  #key(page: number, shift: number): number {
    return Math.floor(page / 2 ** (shift - 12)) * 32 + shift;
  }

  /** The entry that this page hits. */
  find(pcid: number, page: number): Leaf | undefined {
    for (const space of [pcid, -1]) {
      const entries = this.#spaces.get(space);
      if (!entries) continue;
      for (const shift of [12, 21, 22, 30]) {
        const leaf = entries.get(this.#key(page, shift));
        if (leaf !== undefined) return leaf;
      }
    }
    return undefined;
  }

  enter(pcid: number, page: number, leaf: Leaf, pge: boolean): void {
    const space = leaf.global && pge ? -1 : pcid;
    let entries = this.#spaces.get(space);
    if (!entries) {
      entries = new Map();
      this.#spaces.set(space, entries);
    }
    entries.set(this.#key(page, leaf.shift), leaf);
  }

  flushPage(pcid: number, page: number, globals: boolean): void {
    for (const space of globals ? [pcid, -1] : [pcid])
      for (const shift of [12, 21, 22, 30]) this.#spaces.get(space)?.delete(this.#key(page, shift));
  }

  flush(pcid: number): void {
    this.#spaces.delete(pcid);
  }

  flushAll(globals: boolean): void {
    for (const space of [...this.#spaces.keys()]) if (globals || space !== -1) this.#spaces.delete(space);
  }
}

class Checker {
  readonly tables = new GuestTables();
  readonly #truth = new Map<number, number>();
  readonly #tlb = new Tlb();
  #event = 0;
  #started = false;
  /** Pages whose answer is known until the next event: what was found good, by page * 8 + right. */
  #good = new Map<number, boolean>();
  readonly report: CheckReport = {
    events: 0,
    accesses: 0,
    translated: 0,
    withoutTruth: 0,
    stale: 0,
    untranslated: 0,
    fault: undefined,
    faultEvent: undefined,
  };

  constructor(readonly hasTables: boolean) {}

  get done(): boolean {
    return this.report.fault !== undefined;
  }

  access(kind: AccessKind, hi: number, lo: number, size: number, flags: number): void {
    if (this.report.fault !== undefined) return;
    this.report.accesses++;
    if (!this.#started) {
      this.report.untranslated++;
      this.#event++;
      return;
    }
    const page = pageOf(hi, lo);
    let fault = this.#page(kind, page, flags);
    if ((lo & 4095) + size > 4096) fault ??= this.#page(kind, (page + 1) % 2 ** 52, flags);
    if (fault) this.#fail(fault);
    else this.#event++;
  }

  /** What is wrong with an access to a page. */
  #page(kind: AccessKind, page: number, flags: number): string | undefined {
    const { report, tables } = this;
    const user = tables.cpl === 3 && !(flags & BY_CPU);
    const key = page * 8 + kind + (user ? 4 : 0);
    const known = this.#good.get(key);
    if (known !== undefined) {
      report.translated++;
      if (!known) report.withoutTruth++;
      return undefined;
    }
    const leaf = tables.translate(page);
    const what = `the ${KINDS[kind]} in the page at ${hexOf(addressOf(page))}`;
    const truth = this.#truth.get(page);
    const certain = truth !== undefined && truth !== UNKNOWN;
    const held = tables.paging ? this.#tlb.find(tables.pcid, page) : undefined;
    if (held !== undefined && certain && GuestTables.frameOf(held, page) === truth) {
      const current =
        typeof leaf !== "string" &&
        GuestTables.frameOf(leaf, page) === truth &&
        this.#right(kind, user, leaf) === undefined;
      if (!current && this.#right(kind, user, held) === undefined) {
        report.translated++;
        report.stale++;
        return undefined;
      }
    }
    if (typeof leaf === "string")
      return `${what} has no translation: ${leaf}, under CR3 ${hexOf(tables.cr3)}`;
    const frame = GuestTables.frameOf(leaf, page);
    if (certain && truth !== frame)
      return `${what} is translated to frame ${hexOf(frame)} by the recorded tables, but the recording says ${hexOf(truth)}`;
    const right = this.#right(kind, user, leaf);
    if (right) return `${what} succeeded, but ${right}`;
    if (held === undefined) {
      if (tables.paging) this.#tlb.enter(tables.pcid, page, leaf, (tables.cr4 & CR4_PGE) !== 0n);
    } else if (GuestTables.frameOf(held, page) !== frame)
      return `${what} may hit a stale TLB entry with frame ${hexOf(GuestTables.frameOf(held, page))}, where the tables have ${hexOf(frame)}: an invalidation is missing`;
    report.translated++;
    if (!certain) report.withoutTruth++;
    this.#good.set(key, certain);
    return undefined;
  }

  #right(kind: AccessKind, user: boolean, leaf: Leaf): string | undefined {
    const { tables } = this;
    if (!tables.paging) return undefined;
    if (user && !leaf.user) return "user mode may not touch the page";
    if (kind === 2 && !leaf.write && (user || tables.writeProtect)) return "the page is read-only";
    if (kind === 0 && !leaf.execute) return "the page is not executable";
    if (!user && leaf.user && kind === 0 && tables.smep) return "SMEP forbids the kernel to execute it";
    if (!user && leaf.user && kind !== 0 && tables.smap && !tables.ac)
      return "SMAP forbids the kernel to touch it";
    return undefined;
  }

  event(event: GuestEvent): void {
    if (this.report.fault !== undefined) return;
    const fault = this.#apply(event);
    if (fault) this.#fail(fault);
    else this.#event++;
  }

  #apply(event: GuestEvent): string | undefined {
    const { type, values } = event;
    const { tables } = this;
    if (!this.hasTables && TABLE_EVENTS.has(type)) {
      const name = Object.entries(EventType).find(([, number]) => number === type)![0];
      return `a trace that says it has no page tables has a ${name}`;
    }
    if (type === EventType.MAP) {
      const page = Number(values[0]! >> 12n);
      this.#truth.set(page, Number(values[1]! >> 12n));
      for (let right = 0; right < 8; right++) this.#good.delete(page * 8 + right);
      return undefined;
    }
    const before = { cr0: tables.cr0, cr4: tables.cr4, efer: tables.efer };
    const fault = tables.apply(event);
    if (fault) return fault;
    this.#good.clear();
    this.#flush(event, before);
    return undefined;
  }

  #flush({ type, values }: GuestEvent, before: { cr0: bigint; cr4: bigint; efer: bigint }): void {
    const { tables } = this;
    const tlb = this.#tlb;
    if (type === EventType.CR3) {
      this.#started = true;
      if (!(values[0]! >> 63n)) tlb.flush(tables.pcid);
    } else if (type === EventType.CR0 && (before.cr0 ^ tables.cr0) >> 31n) tlb.flushAll(true);
    else if (type === EventType.CR4 && before.cr4 !== tables.cr4) tlb.flushAll(true);
    else if (type === EventType.EFER && before.efer !== tables.efer) tlb.flushAll(true);
    else if (type === EventType.INVLPG) tlb.flushPage(tables.pcid, Number(values[0]! >> 12n), true);
    else if (type === EventType.INVPCID) {
      const pcid = Number(values[1]! & 0xfffn);
      if (values[0] === 0n) tlb.flushPage(pcid, Number(values[2]! >> 12n), false);
      else if (values[0] === 1n) tlb.flush(pcid);
      else tlb.flushAll(values[0] === 2n);
    }
  }

  #fail(fault: string): void {
    this.report.fault = fault;
    this.report.faultEvent = this.#event;
  }
}

/**
 * Reads a trace to its end and checks it: checksums and records (the reader does), that each access is translated by the
 * recorded tables, or by what a TLB may still hold of them, to the recorded frame and with the rights it needs, that no invalidation is missing, and that no event
 * contradicts the ones before. Throws TraceError for a damaged file; a contradiction is in the report.
 */
export async function checkTrace(
  trace: TraceSource,
  onSlice: (accesses: number) => void = () => {},
): Promise<CheckReport> {
  const checker = new Checker(trace.header.recorded.tables !== false);
  const scanner = await walkRecords(trace, checker, (at) => onSlice(at.accesses));
  const { report } = checker;
  report.events = report.fault === undefined ? scanner.events : (report.faultEvent ?? 0);
  return report;
}
