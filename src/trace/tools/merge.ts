import { optionName } from "../../request/option-names.js";
import { toHex } from "../bytes.js";
import { RecordEncoder } from "../encode.js";
import { TraceError } from "../error.js";
import { sha256 } from "../platform.js";
import { EventType } from "../records.js";
import type { Recorded, TraceSource } from "../source.js";
import { type AccessKind, BY_CPU, DEVICE, type GuestEvent, joined, recordSlices } from "./decode.js";
import { encodeEvent } from "./encode-event.js";

/** Accesses that a program runs before the next one's turn. */
export const QUANTUM = 100_000;

/**
 * Several traces recorded in user space as one guest: they take turns of `quantum` accesses, in the order given, until
 * each has ended. Processes and threads are numbered anew, so that those of two traces are never the same. The SHA-256 is
 * that of the traces' own, one a line.
 */
export function mergeTraces(traces: readonly TraceSource[], quantum = QUANTUM): TraceSource {
  const [first] = traces;
  if (!first || traces.length < 2) throw new RangeError("a merge needs two traces or more");
  for (const { name, header } of traces) {
    const { recorded } = header;
    if (recorded.tables !== false)
      throw new TraceError(
        `${name} is a recording of a whole guest, with a kernel and page tables of its own, and cannot run beside others; merge traces of user-space programs`,
        { kind: "unsupported" },
      );
    const other = first.header.recorded;
    if (recorded.addresses !== other.addresses)
      throw new TraceError(
        `${recorded.addresses === "virtual" ? first.name : name} holds physical addresses, and ${recorded.addresses === "virtual" ? name : first.name} virtual ones; merge traces of one kind`,
        { kind: "unsupported" },
      );
    const pages = ({ pageSizes = "4k", placement }: Recorded) => JSON.stringify([pageSizes, placement]);
    if (pages(recorded) !== pages(other))
      throw new TraceError(
        `${first.name} and ${name} differ in the sizes or places of their pages; give both the same with ${optionName("page-sizes")} or ${optionName("v2p")}`,
        { kind: "unsupported" },
      );
  }
  const { recorded: base } = first.header;
  const recorded: Recorded = {
    ...base,
    recorder: [...new Set(traces.map(({ header }) => header.recorded.recorder ?? "unknown"))].join(" and "),
    notes: [...new Set(traces.flatMap(({ header }) => header.recorded.notes ?? []))],
    program: traces.map(({ name, header }) => header.recorded.program ?? baseName(name)).join(" + "),
    missing: [...new Set(traces.flatMap(({ header }) => header.recorded.missing ?? []))],
    merged: {
      quantum,
      of: traces.map(({ name, format, header }) => ({
        name: baseName(name),
        format,
        recorder: header.recorded.recorder,
      })),
    },
  };
  return {
    format: "merge",
    name: traces.map(({ name }) => name).join(" + "),
    header: { version: 1, fetch: "insn", recorded },
    truncated: undefined,
    sha256: async () => {
      const digests = await Promise.all(traces.map((trace) => trace.sha256()));
      const hasher = sha256();
      hasher.update(new TextEncoder().encode(digests.join("\n")));
      return toHex(hasher.digest());
    },
    records: () => takeTurns(traces, quantum),
  };
}

function baseName(name: string): string {
  return name.split(/[\\/]/).at(-1) ?? name;
}

type Queued = [AccessKind, number, number, number, number] | GuestEvent;

/** One trace, a slice of records at a time. */
class Program {
  queue: Queued[] = [];
  at = 0;
  ended = false;
  /** The SWITCH in force, with the new numbers. */
  running: readonly [process: number, thread: number] | undefined;
  readonly #slices: AsyncIterator<unknown>;

  constructor(trace: TraceSource) {
    const visitor = {
      access: (...access: [AccessKind, number, number, number, number]) => {
        this.queue.push(access);
      },
      event: (event: GuestEvent) => {
        this.queue.push(event);
      },
    };
    this.#slices = recordSlices(trace, visitor)[Symbol.asyncIterator]();
  }

  async next(): Promise<Queued | undefined> {
    while (this.at >= this.queue.length) {
      this.queue = [];
      this.at = 0;
      if ((await this.#slices.next()).done) {
        this.ended = true;
        return undefined;
      }
    }
    return this.queue[this.at++];
  }

  async close(): Promise<void> {
    await this.#slices.return?.();
  }
}

async function* takeTurns(traces: readonly TraceSource[], quantum: number): AsyncGenerator<Uint8Array, void> {
  const out = new RecordEncoder();
  const numbers = new Map<string, number>();
  const numberOf = (what: string): number => {
    const known = numbers.get(what);
    if (known !== undefined) return known;
    numbers.set(what, numbers.size + 1);
    return numbers.size;
  };
  const programs = traces.map((trace) => new Program(trace));
  let told = "";
  const tell = (running: readonly [number, number]) => {
    if (running.join() === told) return;
    told = running.join();
    out.switchTo(...running);
  };
  try {
    while (programs.some((program) => !program.ended)) {
      for (const [i, program] of programs.entries()) {
        for (let left = quantum; left > 0 && !program.ended; ) {
          const record =
            program.at < program.queue.length ? program.queue[program.at++] : await program.next();
          if (record === undefined) break;
          if (Array.isArray(record)) {
            program.running ??= [numberOf(`${i} process`), numberOf(`${i} thread`)];
            tell(program.running);
            const [kind, hi, lo, size, flags] = record;
            const gva = joined(hi, lo);
            const how = { cpu: (flags & BY_CPU) !== 0, device: (flags & DEVICE) !== 0 };
            if (kind === 0) out.fetch(gva, size);
            else if (kind === 1) out.read(gva, size, how);
            else out.write(gva, size, how);
            left--;
          } else if (record.type === EventType.SWITCH) {
            const [process, thread] = record.values;
            program.running = [numberOf(`${i} process ${process}`), numberOf(`${i} thread ${thread}`)];
          } else if (record.type !== EventType.END) {
            if (program.running) tell(program.running);
            encodeEvent(out, record);
          }
          if (out.length > 1 << 18) yield out.take();
        }
      }
    }
    yield out.end().take();
  } finally {
    for (const program of programs) await program.close();
  }
}
