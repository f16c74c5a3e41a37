import type { MachineConfig } from "../../config/index.js";
import type { Law } from "../../result.js";
import { AccessBit } from "../bare/exports.js";
import { FIRST_DATA, Guest } from "../guest.js";
import type { Point } from "./chase.js";
import { permutation } from "./random.js";
import { parseCsv } from "./tables.js";

/**
 * Published native latencies: dependent loads over a working set of 4 KiB pages, either shuffled over the whole set
 * (Random_Full) or within 2 MiB after 2 MiB (Page_Random). That the blocks are so large follows from the curves: up to
 * 1 MiB both tests miss the first-level TLB alike. Their difference is the cost of walks.
 */

export type Test = "Random_Full" | "Page_Random";

export interface LatencyCurve {
  cpu: string;
  test: Test;
  stride: number;
  /** `n` is the working set in KiB. */
  points: { n: number; cycles: number; spread: number }[];
}

/** Names that tables give to the chips that a preset models. */
const chips: readonly [RegExp, string][] = [
  [/sandy[-_ ]?bridge|2600k|2700k|e5[-_ ]?2430/i, "sandy-bridge"],
  [/haswell|hsw|5820k|5960x/i, "haswell"],
  [/skylake[-_ ]?(x|sp)|skx|7900x/i, "skylake-sp"],
  [/golden[-_ ]?cove|glc|alder|sapphire|12900k/i, "golden-cove"],
  [/zen[-_ ]?2|rome|7742/i, "zen2"],
  [/zen[-_ ]?3|milan|vermeer|5900x/i, "zen3"],
  [/zen[-_ ]?4|genoa|raphael|7950x/i, "zen4"],
  [/zen[-_ ]?5|turin|9950x/i, "zen5"],
];

/** The preset that models a chip of the table, if there is one. */
export function presetOfChip(chip: string): string | undefined {
  return chips.find(([name]) => name.test(chip))?.[1];
}

export function latencyCurves(text: string): LatencyCurve[] {
  const curves = new Map<string, LatencyCurve>();
  for (const [cpu = "", test = "", set, strideText, latency] of parseCsv(text).slice(1)) {
    if (test !== "Random_Full" && test !== "Page_Random") continue;
    const stride = Number(strideText);
    const key = `${cpu} ${test} ${stride}`;
    let curve = curves.get(key);
    if (curve === undefined) {
      curve = { cpu, test, stride, points: [] };
      curves.set(key, curve);
    }
    const [n, cycles] = [Number(set), Number(latency)];
    if (n > 0 && cycles > 0) curve.points.push({ n, cycles, spread: cycles });
  }
  for (const curve of curves.values()) curve.points.sort((a, b) => a.n - b.n);
  return [...curves.values()];
}

const PAGE = 4096;
const AT = 2 ** 40;
const BLOCK = 2 ** 21;
/** Accesses before the window: a lap, and a second one of small sets. */
const LEAST_WARM = 20_000;
const MOST_TWICE = 400_000;
const WINDOW = 65_536;

export function latencies(
  test: Test,
  stride: number,
  sets: readonly number[],
  config: MachineConfig,
): { points: Point[]; broken: Law[] } {
  const { l1 } = config.caches;
  const machine: MachineConfig = {
    ...config,
    technique: "native",
    clock: { ...config.clock, window: 1, issueCycles: l1.cycles },
    caches: { ...config.caches, enabled: true, data: true },
  };
  const guest = new Guest(machine, { seed: config.seed });
  let mapped = 0;
  const points = sets.map((kib) => {
    const nodes = Math.floor((kib * 1024) / stride);
    const pages = Math.ceil((nodes * stride) / PAGE);
    for (; mapped < pages; ++mapped) {
      guest.back(FIRST_DATA + mapped, FIRST_DATA + mapped);
      guest.map(AT + mapped * PAGE, 1, FIRST_DATA + mapped);
    }
    guest.flush();
    const successor = test === "Random_Full" ? fullOrder(nodes) : blockOrder(nodes, stride);
    return { n: kib, cycles: measure(guest, successor, nodes, stride) };
  });
  return { points, broken: guest.brokenLaws() };
}

function fullOrder(nodes: number): (i: number) => number {
  const next = permutation(nodes);
  return (i) => next[i]!;
}

/** One block after the other; within each, the nodes in a shuffled order. */
function blockOrder(nodes: number, stride: number): (i: number) => number {
  const perBlock = Math.min(nodes, Math.max(1, Math.floor(BLOCK / stride)));
  const next = permutation(perBlock);
  return (i) => {
    const first = i - (i % perBlock);
    let within = next[i % perBlock]!;
    /* The last block may be a part of one. */
    while (first + within >= nodes) within = next[within]!;
    if (within !== 0) return first + within;
    return first + perBlock < nodes ? first + perBlock : 0;
  };
}

function measure(guest: Guest, successor: (i: number) => number, nodes: number, stride: number): number {
  const buffer = guest.addresses();
  const room = buffer.length / 2;
  let node = 0;
  const chain = (count: number): number => {
    const before = guest.core.counter("cyclesTotal");
    for (let left = count; left > 0; ) {
      const some = Math.min(left, room);
      for (let k = 0; k < some; ++k) {
        const address = AT + node * stride;
        buffer[2 * k] = address >>> 0;
        buffer[2 * k + 1] = Math.floor(address / 0x1_0000_0000);
        node = successor(node);
      }
      guest.run(0, some, AccessBit.read | AccessBit.user);
      left -= some;
    }
    return guest.core.counter("cyclesTotal") - before;
  };
  chain(Math.max(nodes, Math.min(2 * nodes, MOST_TWICE), LEAST_WARM));
  return chain(WINDOW) / WINDOW;
}
