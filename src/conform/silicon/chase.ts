import type { MachineConfig } from "../../config/index.js";
import type { Law } from "../../result.js";
import { AccessBit } from "../bare/exports.js";
import { Guest } from "../guest.js";
import type { Arm } from "./experiments.js";
import { permutation } from "./random.js";

/** Runs the pointer chases of one column as they were measured: a warm lap, then windows of consecutive accesses. */

/** Accesses from which an experiment's windows are longer, and warm ones are prepared by reading every node. */
const LARGE = 8192;
const WARM_LAP = 65_536;
const WINDOW = 32_768;
const LARGE_WINDOW = 65_536;
const WARM_WINDOW = 16_384;
const WARM_STEPS = 8192;
const WARM_WINDOWS = 2;

/** A mispredicted return, beside its translation, and what reading its target from a list adds (22.9 and 24.9 measured). */
const RETURN_CYCLES = 23;
const LIST_CYCLES = 2;
/** Targets in one line of the list that the code chases read. */
const TARGETS_PER_LINE = 8;
const LIST_AT = 2 ** 39;
const LIST_FRAME = 0x180_0000;

/** The guest's frames for tables come round again. */
const POOL = 2 ** 15;

export interface Point {
  n: number;
  cycles: number;
}

export interface Curve {
  points: Point[];
  broken: Law[];
}

/** The CPU of the measurements, with the latencies of its loops: dependent accesses, one at a time. */
export function chaseConfig(config: MachineConfig, arm: Pick<Arm, "kind" | "list">): MachineConfig {
  const code = RETURN_CYCLES + (arm.list ? LIST_CYCLES : 0);
  return {
    ...config,
    clock: { ...config.clock, window: 1, issueCycles: arm.kind === "fetch" ? code : config.caches.l1.cycles },
    caches: { ...config.caches, enabled: true, data: true },
  };
}

const permutations = new Map<number, Uint32Array>();
function successors(n: number): Uint32Array {
  let next = permutations.get(n);
  if (next === undefined) {
    next = permutation(n);
    permutations.set(n, next);
  }
  return next;
}

export function chase(arm: Arm, ns: readonly number[], config: MachineConfig): Curve {
  const machine = chaseConfig(config, arm);
  const points: Point[] = [];
  const broken: Law[] = [];
  let guest: Guest | undefined;
  let mapped = 0;
  let allocated = 0;
  for (const n of ns) {
    const nodes = arm.nodes ?? n;
    if (guest === undefined || arm.recycled) {
      if (guest) broken.push(...brokenLaws(guest));
      const from = allocated;
      guest = new Guest(machine, {
        seed: config.seed,
        ...(arm.recycled && {
          tableFrame: (k) => {
            allocated = from + k + 1;
            return k < POOL ? ((from + k) * 40503 + 12345) % POOL : k;
          },
        }),
      });
      mapped = 0;
      if (arm.list) mapList(guest);
    }
    for (; mapped < nodes; ++mapped) arm.map(guest, mapped, n);
    guest.flush();
    points.push({ n, cycles: measure(guest, arm, n, nodes) });
  }
  if (guest) broken.push(...brokenLaws(guest));
  return { points, broken };
}

/** The conservation laws, and that every node was mapped. */
function brokenLaws(guest: Guest): Law[] {
  const faults = guest.core.counter("walksFaulted");
  const mapped: Law = { name: "no access faults", holds: faults === 0, detail: `${faults} walks faulted` };
  return [...guest.brokenLaws(), ...(mapped.holds ? [] : [mapped])];
}

/** The code chases read their targets from a list. */
function mapList(guest: Guest): void {
  for (let page = 0; page < 256; ++page) {
    guest.backInRuns(LIST_FRAME + page);
    guest.map(LIST_AT + page * 4096, 1, LIST_FRAME + page);
  }
}

/** Cycles per access at one N. */
function measure(guest: Guest, arm: Arm, n: number, nodes: number): number {
  const next = successors(nodes);
  const low = new Uint32Array(nodes);
  const high = new Uint32Array(nodes);
  for (let i = 0; i < nodes; ++i) {
    const address = arm.address(i, n);
    low[i] = address >>> 0;
    high[i] = Math.floor(address / 0x1_0000_0000);
  }
  const buffer = guest.addresses();
  const room = buffer.length / 2;
  const access = AccessBit[arm.kind] | AccessBit.user;
  let node = 0;
  let position = 0;
  const steps = (count: number, follow: (i: number) => number): number => {
    let cycles = 0;
    for (let left = count; left > 0; ) {
      const some = Math.min(left, arm.list ? TARGETS_PER_LINE : room);
      for (let k = 0; k < some; ++k) {
        buffer[2 * k] = low[node]!;
        buffer[2 * k + 1] = high[node]!;
        node = follow(node);
      }
      const before = guest.core.counter("cyclesTotal");
      guest.run(0, some, access);
      cycles += guest.core.counter("cyclesTotal") - before;
      left -= some;
      if (arm.list) readTarget();
    }
    return cycles;
  };
  const readTarget = () => {
    const at = LIST_AT + 8 * position;
    position = (position + TARGETS_PER_LINE) % nodes;
    buffer[0] = at >>> 0;
    buffer[1] = Math.floor(at / 0x1_0000_0000);
    guest.run(0, 1, AccessBit.read | AccessBit.user);
  };
  const chain = (count: number) => steps(count, (i) => next[i]!);

  if (arm.warm && nodes >= LARGE) {
    let cycles = 0;
    for (let window = 0; window < WARM_WINDOWS; ++window) {
      const resume = node;
      node = 0;
      steps(nodes, (i) => i + 1);
      node = resume;
      chain(WARM_STEPS);
      cycles += chain(WARM_WINDOW);
    }
    return cycles / (WARM_WINDOWS * WARM_WINDOW);
  }
  chain(Math.max(nodes, WARM_LAP));
  const window = nodes < LARGE ? WINDOW : LARGE_WINDOW;
  return chain(window) / window;
}
