import { FIRST_DATA, type Guest } from "../guest.js";
import { hashLow, scatterBelow } from "./random.js";

/** The pointer chases of the measurements, as their README defines them: which page and line each node has. */

export interface Arm {
  /** Address of node i at the column's N. */
  address(i: number, n: number): number;
  /** Maps what node i needs. */
  map(guest: Guest, i: number, n: number): void;
  /** Nodes, if they are not N. */
  nodes?: number;
  kind: "read" | "fetch";
  /** Warm windows: before each, every node is read in index order. */
  warm: boolean;
  /** The largest N that the measurement has uncontaminated. */
  most: number;
  /** Tables are remapped before each N: the guest's frames come from a recycled pool. */
  recycled?: boolean;
  /** Code: the targets are read from a list. */
  list?: boolean;
  /** Why its error is shown but does not count, if it does not. */
  uncounted?: string;
}

const PAGE = 4096;
const MAPPED_AT = 2 ** 40;
const OWN_AT = 2 ** 40;
const MOST = 100_000;
/** Regions of 2^shift bytes between the first and the end of a process's addresses. */
const mostRegions = (shift: number) => Math.min(MOST, Math.floor((2 ** 47 - MAPPED_AT) / 2 ** shift) - 1);
/** Guest frames among which pages first touched in random order lie: as many as the experiment's largest N. */
const RANDOM_FRAMES = 1_310_720;
const RANDOM_FRAMES_FINE = 8192;
const RANDOM_FRAMES_CODE = 32_768;
const LARGE_FRAMES = 512;
const RANDOM_SEED = 77;

const lineOf = (i: number) => (i + hashLow(Math.floor(i / 64))) & 63;
const jitter = (i: number, bits: number) => hashLow(i) & (2 ** bits - 1);

/** Each node on a page of its own. */
function ownPages(frames: number | "2m"): Pick<Arm, "address" | "map"> {
  const address = (i: number) => OWN_AT + PAGE * i + 64 * lineOf(i);
  if (frames === "2m") return { address, map: (guest, i) => mapLarge(guest, Math.floor(i / LARGE_FRAMES)) };
  return {
    address,
    map(guest, i) {
      const gfn = FIRST_DATA + (i < frames ? scatterBelow(i, frames, RANDOM_SEED) : i);
      if (i < frames) guest.backAnywhere(gfn);
      else guest.backInRuns(gfn);
      guest.map(OWN_AT + PAGE * i, 1, gfn);
    },
  };
}

/** The n-th 2 MiB of a region, as one large guest page over 4 KiB host pages. */
function mapLarge(guest: Guest, n: number): void {
  for (let i = 0; i < LARGE_FRAMES; ++i) guest.backInRuns(FIRST_DATA + n * LARGE_FRAMES + i);
  guest.map(OWN_AT + n * LARGE_FRAMES * PAGE, 2, FIRST_DATA + n * LARGE_FRAMES);
}

/** Nodes side by side, `bytes` apart, on 4 KiB or 2 MiB pages. */
function packed(bytes: number, large: boolean): Pick<Arm, "address" | "map"> {
  return {
    address: (i) => OWN_AT + bytes * i,
    map(guest, i) {
      const page = Math.floor((bytes * i) / PAGE);
      if (large) mapLarge(guest, Math.floor(page / LARGE_FRAMES));
      else {
        guest.backInRuns(FIRST_DATA + page);
        guest.map(OWN_AT + page * PAGE, 1, FIRST_DATA + page);
      }
    },
  };
}

/** 512 nodes share a frame, each at an address of its own. */
function aliases(
  address: (i: number, n: number) => number,
  perFrame = 512,
  slot = 8,
): Pick<Arm, "address" | "map"> {
  return {
    address: (i, n) => address(i, n) + slot * (i % perFrame),
    map(guest, i, n) {
      const gfn = FIRST_DATA + (slot === 8 ? Math.floor(i / perFrame) : 0);
      guest.backInRuns(gfn);
      guest.map(address(i, n), 1, gfn);
    },
  };
}

const strided = (shift: number, bits: number) => (i: number) =>
  MAPPED_AT + i * 2 ** shift + jitter(i, bits) * PAGE;

const STRIDES: Record<string, readonly [number, number]> = {
  s4k: [12, 0],
  s32k_jit: [15, 3],
  s2m_jit: [21, 9],
  s1g_jit: [30, 18],
  s512g_jit: [39, 27],
};
const STRIDE_MOST: Record<string, number> = { s1g_jit: 72_000, s512g_jit: 220 };

function stride(name: string, warm: boolean): Arm | undefined {
  const shape = STRIDES[name];
  if (shape === undefined) return undefined;
  return { ...aliases(strided(...shape)), kind: "read", warm, most: STRIDE_MOST[name] ?? MOST };
}

/** T nodes over M regions of 2^u, in cells of 2^l. */
const CELLS: Record<string, readonly [number, number]> = { pde: [21, 15], pdpte: [30, 21], pml4e: [39, 30] };

function regions(name: string): Arm | undefined {
  const [, cell = "", nodes = ""] = /^(pde|pdpte|pml4e)_T(\d+)$/.exec(name) ?? [];
  const shape = CELLS[cell];
  if (shape === undefined) return undefined;
  const [u, l] = shape;
  const address = (i: number, m: number) => {
    const r = i % m;
    const c = (Math.floor(i / m) + hashLow(r)) % 2 ** (u - l);
    return MAPPED_AT + r * 2 ** u + c * 2 ** l + (hashLow(i) & (2 ** (l - 12) - 1)) * PAGE;
  };
  return {
    ...aliases(address),
    nodes: Number(nodes),
    kind: "read",
    warm: true,
    most: mostRegions(u),
    recycled: true,
  };
}

/** One large guest page mapped N times. */
function huge(name: string): Arm | undefined {
  const shape = { huge2m: [21, 2], huge1g: [30, 3] }[name];
  if (shape === undefined) return undefined;
  const [shift = 0, leafLevel = 0] = shape;
  return {
    address: (i) => MAPPED_AT + i * 2 ** shift + 64 * (i % 32768),
    map(guest, i) {
      for (let page = 0; i === 0 && page < LARGE_FRAMES; ++page) guest.backInRuns(FIRST_DATA + page);
      guest.map(MAPPED_AT + i * 2 ** shift, leafLevel, FIRST_DATA);
    },
    kind: "read",
    warm: false,
    most: MOST,
  };
}

function chase(name: string, warm: boolean, randomFrames: number): Arm | undefined {
  const rest = { kind: "read", warm, most: MOST } as const;
  if (name === "4k_rand") return { ...ownPages(randomFrames), ...rest };
  if (name === "4k_seq") return { ...ownPages(0), ...rest };
  if (name === "2m") return { ...ownPages("2m"), ...rest };
  if (name === "dense") return { ...packed(64, false), ...rest };
  return undefined;
}

/** Code that a mispredicted return reaches: each stub in a page of its own, or all in one frame. */
function fetches(name: string): Arm | string | undefined {
  if (name.startsWith("jmp_")) return "predicted jumps run ahead of their misses: not a latency";
  if (name.startsWith("ret_")) {
    const arm = chase(name.slice(4), false, RANDOM_FRAMES_CODE);
    const uncounted = "the front end's own caches take part";
    return arm && { ...arm, kind: "fetch", uncounted };
  }
  const shape = STRIDES[name.replace(/^aliasret_/, "")];
  if (shape === undefined) return undefined;
  return { ...aliases(strided(...shape), 64, 64), kind: "fetch", warm: false, most: MOST, list: true };
}

/** The name that a column has here: tables write regions and strides in several ways. */
export function canonicalColumn(experiment: string, column: string): string {
  if (experiment === "exp2t")
    return column.replace(/^(pde|pdpte|pml4e)[_ =:]*(?:T[_ =:]*)?(\d+)$/i, "$1_T$2");
  if (experiment === "exp3") return column.replace(/^[a-z]*[_ =:]*(?:2\^)?(\d+)$/i, "stride2^$1");
  return column;
}

/** The chase of a column; a sentence where it is not one of translation; undefined where it is not known. */
export function armOf(experiment: string, name: string): Arm | string | undefined {
  const column = canonicalColumn(experiment, name);
  switch (experiment) {
    case "exp1":
    case "exp1w":
    case "exp1f":
      return chase(
        column,
        experiment === "exp1w",
        experiment === "exp1f" ? RANDOM_FRAMES_FINE : RANDOM_FRAMES,
      );
    case "exp2":
    case "exp2w":
      if (column === "compact2m")
        return { ...packed(8, true), kind: "read", warm: experiment === "exp2w", most: MOST };
      return stride(column, experiment === "exp2w");
    case "exp2t":
      return regions(column);
    case "exp2h":
      if (column === "compact2m") return { ...packed(64, true), kind: "read", warm: false, most: MOST };
      return huge(column);
    case "exp3": {
      const shift = Number(/^stride2\^(\d+)$/.exec(column)?.[1]);
      if (!(shift >= 12 && shift <= 39)) return undefined;
      return { ...aliases(strided(shift, 0)), kind: "read", warm: false, most: mostRegions(shift) };
    }
    case "exp4":
      return fetches(column);
    case "exp6":
      return column === "2m" ? { ...packed(64, true), kind: "read", warm: false, most: MOST } : undefined;
    default:
      return undefined;
  }
}
