import { RecordEncoder } from "../encode.js";
import { TraceError } from "../error.js";
import { EventType } from "../records.js";
import type { TraceHeader, TraceSource, Truncation } from "../source.js";
import { type AccessKind, BY_CPU, DEVICE, type GuestEvent, joined, recordSlices } from "./decode.js";
import { encodeEvent } from "./encode-event.js";
import { addressOf, GuestTables, pageOf } from "./tables.js";

export interface Window {
  /** First access or event of the window, from 0. */
  from: number;
  /** The one after its last; the end of the trace when absent. */
  to?: number;
  /** What is counted: accesses, the default, or events of every kind. */
  unit?: "accesses" | "events";
}

/**
 * A window of a trace, as a trace of its own: it begins with the registers, page tables and mode that hold there, and
 * says of each page where it lies before its first access.
 */
export function cutTrace(trace: TraceSource, window: Window): TraceSource {
  const { from, to, unit = "accesses" } = window;
  const { fetch, version } = trace.header;
  // Those of the start say nothing of the window.
  const { registers: _, ...recorded } = trace.header.recorded;
  const header: TraceHeader = {
    version,
    fetch,
    recorded: {
      ...recorded,
      window: { unit, from, ...(to === undefined ? {} : { to }), of: trace.name.split(/[\\/]/).at(-1) },
    },
  };
  const state: { truncated: Truncation | undefined } = { truncated: undefined };
  return {
    format: trace.format,
    name: trace.name,
    header,
    get truncated() {
      return state.truncated;
    },
    sha256: () => trace.sha256(),
    async *records() {
      const cutter = new Cutter(
        from,
        to ?? Number.POSITIVE_INFINITY,
        unit === "accesses",
        recorded.tables !== false,
      );
      for await (const _ of recordSlices(trace, cutter)) if (cutter.out.length > 0) yield cutter.out.take();
      state.truncated = trace.truncated;
      if (!cutter.inside) {
        throw new TraceError(
          `${trace.name} has ${cutter.count} ${unit}, so the window from ${from} is empty; choose one that begins earlier`,
          { kind: "corrupt" },
        );
      }
      if (!state.truncated || cutter.done) yield cutter.out.end().take();
    },
  };
}

class Cutter {
  readonly out = new RecordEncoder();
  inside = false;
  done = false;
  /** Accesses or events so far. */
  count = 0;
  #tables = new GuestTables();
  #truth = new Map<number, bigint>();
  #told = new Set<number>();
  #running: GuestEvent | undefined;
  #started = false;

  constructor(
    readonly from: number,
    readonly to: number,
    readonly byAccess: boolean,
    readonly hasTables: boolean,
  ) {}

  access(kind: AccessKind, hi: number, lo: number, size: number, flags: number): void {
    if (!this.#step(true)) return;
    const page = pageOf(hi, lo);
    if (this.hasTables) {
      this.#map(page);
      if ((lo & 4095) + size > 4096) this.#map((page + 1) % 2 ** 52);
    }
    const gva = joined(hi, lo);
    const { out } = this;
    if (kind === 0) out.fetch(gva, size);
    else {
      const how = { cpu: (flags & BY_CPU) !== 0, device: (flags & DEVICE) !== 0 };
      if (kind === 1) out.read(gva, size, how);
      else out.write(gva, size, how);
    }
  }

  event(event: GuestEvent): void {
    const { type, values } = event;
    const inside = this.#step(false);
    if (type === EventType.END) return;
    if (type === EventType.MAP) {
      const page = Number(values[0]! >> 12n);
      this.#truth.set(page, values[1]!);
      // Told at the next access, if there is one.
      this.#told.delete(page);
      return;
    }
    this.#tables.apply(event);
    if (type === EventType.CR3) this.#started = true;
    if (type === EventType.SWITCH) this.#running = event;
    if (inside) encodeEvent(this.out, event);
  }

  /** Counts a record; true when it is inside the window. */
  #step(access: boolean): boolean {
    if (this.done) return false;
    const counts = access || !this.byAccess;
    if (counts && !this.inside && this.count === this.from) this.#begin();
    if (counts && this.count >= this.to) {
      this.done = true;
      return false;
    }
    if (counts) this.count++;
    return this.inside;
  }

  #begin(): void {
    this.inside = true;
    const { out } = this;
    const t = this.#tables;
    if (this.hasTables && this.#started) {
      out.cr0(t.cr0).cr4(t.cr4).efer(t.efer).cr3(t.cr3);
      for (const [gfn, { level, entries }] of [...t.frames].sort(([a], [b]) => a - b)) {
        const present: [number, bigint][] = [];
        for (let i = 0; i < 512; i++) if (entries[i] !== 0n) present.push([i, entries[i]!]);
        out.ptp(gfn, level, present);
      }
      if (t.pkru !== 0n) out.pkru(Number(t.pkru));
      out.mode(t.cpl, t.ac);
    }
    if (this.#running) encodeEvent(out, this.#running);
  }

  #map(page: number): void {
    if (this.#told.has(page)) return;
    this.#told.add(page);
    const gpa = this.#truth.get(page);
    if (gpa !== undefined) this.out.map(addressOf(page), gpa);
  }
}
