import { EventType, type RecordCounts } from "../records.js";
import type { TraceSource } from "../source.js";
import { type AccessKind, BY_CPU, type GuestEvent, walkRecords } from "./decode.js";
import { GuestTables, pageOf } from "./tables.js";

/** What a trace holds, as it was read to its end. */
export interface TraceFacts extends RecordCounts {
  accesses: number;
  streamBytes: number;
  /** Distinct pages touched, by size: guest-physical pages for a guest with page tables, else 4 KiB pages by process. */
  pages: Record<string, number>;
  /** Accesses in user mode. */
  user: number;
  /** CR3 loads, and different roots among them. */
  cr3Loads: number;
  roots: number;
  /** SWITCH records, and different processes and threads among them. */
  switches: number;
  processes: number;
  threads: number;
  tablePages: number;
  tableWrites: number;
  invalidations: number;
  exceptions: number;
  /** Exceptions with vector 14. */
  pageFaults: number;
  /** How the guest pages, in the order it was seen. */
  modes: string[];
  labels: string[];
}

const LABELS_MAX = 20;
const NAMES: Record<number, string> = { 12: "4K", 21: "2M", 22: "4M", 30: "1G" };

class Facts {
  readonly tables = new GuestTables();
  readonly pages: Record<string, number> = {};
  user = 0;
  cr3Loads = 0;
  switches = 0;
  readonly roots = new Set<bigint>();
  readonly processes = new Set<bigint>();
  readonly threads = new Set<string>();
  readonly modes = new Set<string>();
  readonly labels: string[] = [];
  #leaves = new Set<number>();
  #seen = new Set<number>();
  #process = 0n;
  #recent = -1;
  readonly #perProcess = new Map<bigint, Set<number>>();

  constructor(readonly hasTables: boolean) {}

  access(_kind: AccessKind, hi: number, lo: number, size: number, flags: number): void {
    if (this.tables.cpl === 3 && !(flags & BY_CPU)) this.user++;
    const page = pageOf(hi, lo);
    if (page !== this.#recent) this.#touch(page);
    this.#recent = page;
    if ((lo & 4095) + size > 4096) this.#touch(page + 1);
  }

  #touch(page: number): void {
    if (this.#seen.has(page)) return;
    this.#seen.add(page);
    if (!this.hasTables) {
      this.#count(12);
      return;
    }
    const leaf = this.tables.translate(page);
    if (typeof leaf === "string") return;
    this.modes.add(this.tables.mode);
    const key = leaf.frame * 32 + leaf.shift;
    if (this.#leaves.has(key)) return;
    this.#leaves.add(key);
    this.#count(leaf.shift);
  }

  #count(shift: number): void {
    const name = NAMES[shift]!;
    this.pages[name] = (this.pages[name] ?? 0) + 1;
  }

  event(event: GuestEvent): void {
    const { type, values } = event;
    if (type === EventType.LABEL) {
      if (this.labels.length < LABELS_MAX) this.labels.push(event.text!);
    } else if (type === EventType.SWITCH) {
      this.switches++;
      this.processes.add(values[0]!);
      this.threads.add(values.join());
      if (!this.hasTables && values[0] !== this.#process) {
        this.#process = values[0]!;
        let seen = this.#perProcess.get(this.#process);
        if (!seen) {
          seen = new Set();
          this.#perProcess.set(this.#process, seen);
        }
        this.#seen = seen;
        this.#recent = -1;
      }
    } else if (type !== EventType.MAP) {
      this.tables.apply(event);
      if (type === EventType.CR3) {
        this.cr3Loads++;
        this.roots.add(values[0]! & 0x000f_ffff_ffff_f000n);
        this.#seen.clear();
        this.#recent = -1;
      } else if (type === EventType.PTW || type === EventType.PTP) {
        this.#seen.clear();
        this.#recent = -1;
      }
    }
  }
}

/** Reads a trace to its end. Throws TraceError where it is damaged. */
export async function traceFacts(
  trace: TraceSource,
  onSlice: (accesses: number) => void = () => {},
): Promise<TraceFacts> {
  const facts = new Facts(trace.header.recorded.tables !== false);
  let pageFaults = 0;
  const visitor = {
    access: facts.access.bind(facts),
    event: (event: GuestEvent) => {
      if (event.type === EventType.EXC && event.values[0] === 14n) pageFaults++;
      facts.event(event);
    },
  };
  const scanner = await walkRecords(trace, visitor, (at) => onSlice(at.accesses));
  const by = scanner.eventsByType;
  return {
    events: scanner.events,
    accesses: scanner.accesses,
    fetches: scanner.fetches,
    reads: scanner.reads,
    writes: scanner.writes,
    streamBytes: scanner.offset,
    pages: facts.pages,
    user: facts.user,
    cr3Loads: facts.cr3Loads,
    roots: facts.roots.size,
    switches: facts.switches,
    processes: facts.processes.size,
    threads: facts.threads.size,
    tablePages: by[EventType.PTP]!,
    tableWrites: by[EventType.PTW]!,
    invalidations: by[EventType.INVLPG]! + by[EventType.INVPCID]!,
    exceptions: by[EventType.EXC]!,
    pageFaults,
    modes: [...facts.modes],
    labels: facts.labels,
  };
}

/** Bytes that the pages of a trace cover. */
export function footprintBytes(pages: Record<string, number>): number {
  const sizes: Record<string, number> = { "4K": 4096, "2M": 2 << 20, "4M": 4 << 20, "1G": 1 << 30 };
  return Object.entries(pages).reduce((sum, [name, count]) => sum + sizes[name]! * count, 0);
}
