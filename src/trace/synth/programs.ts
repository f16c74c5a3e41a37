import { RecordEncoder } from "../encode.js";
import { cycle, shuffled, Xorshift64, Zipf } from "./random.js";

/** Programs as a user-space recorder would see them: a loop of 16 instructions, each with its data accesses. */

const CODE = 0x40_0000;
const INSTRUCTIONS = 16;
/** Where the data lies. */
export const DATA = 0x100_0000_0000;
export const LINE = 64;
const PAGE = 4096;
/** Bytes of the stream that are given at once. */
const SLICE = 1 << 18;

export interface ProgramOptions {
  instructions: number;
  /** Bytes of the region of data. */
  bytes: number;
  /** One in so many accesses is a store; 0 is none. */
  storeEvery: number;
  stride: number;
  /** Exponent of a Zipf distribution. */
  skew: number;
  /** Edges of a vertex. */
  degree: number;
  seed: bigint;
}

/** The slices of a stream that `make` writes record by record. */
export function* sliced(encoder: RecordEncoder, steps: Iterable<unknown>): Generator<Uint8Array, void> {
  for (const _ of steps) if (encoder.length >= SLICE) yield encoder.take();
  encoder.end();
  yield encoder.take();
}

type Address = (i: number) => number;

/** One access an instruction, at the address that `next` gives. */
function* loop(e: RecordEncoder, o: ProgramOptions, next: Address): Generator<void, void> {
  for (let i = 0; i < o.instructions; i++) {
    e.fetch(CODE + (i % INSTRUCTIONS) * 4, 4);
    const address = next(i);
    if (o.storeEvery > 0 && i % o.storeEvery === o.storeEvery - 1) e.write(address, 8);
    else e.read(address, 8);
    yield;
  }
}

type Program = (e: RecordEncoder, o: ProgramOptions) => Iterable<void>;

const sequential: Program = (e, o) => {
  const words = Math.floor(o.bytes / 8);
  return loop(e, o, (i) => DATA + (i % words) * 8);
};

const strided: Program = (e, o) => {
  const steps = Math.ceil(o.bytes / o.stride);
  return loop(e, o, (i) => DATA + (i % steps) * o.stride);
};

const random: Program = (e, o) => {
  const numbers = new Xorshift64(o.seed);
  const lines = Math.floor(o.bytes / LINE);
  return loop(e, o, () => DATA + numbers.below(lines) * LINE);
};

/** Each line holds the address of the next one: a chain of loads. */
const chase: Program = (e, o) => {
  const next = cycle(Math.floor(o.bytes / LINE), new Xorshift64(o.seed));
  let at = 0;
  return loop(e, { ...o, storeEvery: 0 }, () => {
    at = next[at]!;
    return DATA + at * LINE;
  });
};

/** Pages by popularity, scattered over the region; any line of a page. */
const zipf: Program = (e, o) => {
  const numbers = new Xorshift64(o.seed);
  const pages = Math.floor(o.bytes / PAGE);
  const places = shuffled(pages, numbers);
  const ranks = new Zipf(pages, o.skew);
  return loop(e, o, () => {
    const page = places[ranks.draw(numbers)]!;
    return DATA + page * PAGE + numbers.below(PAGE / LINE) * LINE;
  });
};

/**
 * Breadth-first search of a random graph in compressed rows: offsets of 8 bytes; edges, distances and the queue of 4.
 * `bytes` is about the size of it all.
 */
function* bfs(e: RecordEncoder, o: ProgramOptions): Generator<void, void> {
  const numbers = new Xorshift64(o.seed);
  const vertices = Math.max(2, Math.floor(o.bytes / (16 + 4 * o.degree)));
  const edges = Uint32Array.from({ length: vertices * o.degree }, () => numbers.below(vertices));
  const page = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE;
  const offsetsAt = DATA;
  const edgesAt = offsetsAt + page((vertices + 1) * 8);
  const distancesAt = edgesAt + page(edges.length * 4);
  const queueAt = distancesAt + page(vertices * 4);
  const queue = new Uint32Array(vertices);
  const seen = new Uint32Array(vertices);
  let left = o.instructions;
  let instruction = 0;
  const touch = (address: number, size: number, store: boolean): void => {
    e.fetch(CODE + (instruction++ % INSTRUCTIONS) * 4, 4);
    if (store) e.write(address, size);
    else e.read(address, size);
    left--;
  };
  for (let search = 1; left > 0; search++) {
    let head = 0;
    let tail = 1;
    queue[0] = numbers.below(vertices);
    seen[queue[0]!] = search;
    while (head < tail && left > 0) {
      const u = queue[head]!;
      touch(queueAt + head++ * 4, 4, false);
      touch(offsetsAt + u * 8, 8, false);
      touch(offsetsAt + u * 8 + 8, 8, false);
      for (let i = u * o.degree; i < (u + 1) * o.degree && left > 0; i++) {
        const v = edges[i]!;
        touch(edgesAt + i * 4, 4, false);
        touch(distancesAt + v * 4, 4, false);
        if (seen[v] !== search) {
          seen[v] = search;
          touch(distancesAt + v * 4, 4, true);
          queue[tail] = v;
          touch(queueAt + tail++ * 4, 4, true);
        }
        yield;
      }
    }
  }
}

export const programs = { sequential, strided, random, chase, zipf, bfs } satisfies Record<string, Program>;

/** The record stream of a program, in slices. */
export function programStream(
  program: keyof typeof programs,
  options: ProgramOptions,
): Generator<Uint8Array, void> {
  const encoder = new RecordEncoder().switchTo(1, 1);
  return sliced(encoder, programs[program](encoder, options));
}
