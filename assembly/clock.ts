import { add, Counter, set } from "./counters";
import { Parameter, parameter } from "./parameters";

/**
 * The clock: integer core cycles. Accesses issue in order, `issue` cycles apart, and at most `window` of them behind
 * an unfinished one. A first-level TLB hit finishes at once; a second-level hit and a walk finish later and are
 * kept in a queue until the accesses behind them must wait. A walk takes a walker from start to end.
 *
 * Each cycle that passes is booked on exactly one part, so the parts sum to the total.
 *
 *   waiting access: finish u64 │ index u64 │ tlb u32 │ queue u32 │ walk u32 │ data u32
 */
const MOST_WINDOW: u32 = 1024;
const MOST_WALKERS: u32 = 16;

const queue = memory.data(1024 * 32, 16);
const walkerFree = new StaticArray<u64>(<i32>MOST_WALKERS);

let issue: u32 = 1;
let window: u32 = 1;
let walkers: u32 = 1;

/** Time at which the latest access issued. */
let now: u64 = 0;
/** Accesses issued. */
let index: u64 = 0;
/** The access before which the oldest waiting one must have finished. */
let blockedAt: u64 = u64.MAX_VALUE;
let head: u32 = 0;
let waiting: u32 = 0;

export function configureClock(): void {
  issue = parameter(Parameter.issueCycles);
  window = min<u32>(max<u32>(parameter(Parameter.window), 1), MOST_WINDOW);
  walkers = min<u32>(max<u32>(parameter(Parameter.walkers), 1), MOST_WALKERS);
}

function record(i: u32): usize {
  return queue + <usize>((i & (MOST_WINDOW - 1)) << 5);
}

/**
 * Lets the oldest waiting access finish. The time passed is booked on what made it late: first on the queue, without
 * which it had finished so much earlier, then from the end of its latency backwards.
 */
function retire(): void {
  const at = record(head);
  head = (head + 1) & (MOST_WINDOW - 1);
  --waiting;
  blockedAt = waiting === 0 ? u64.MAX_VALUE : load<u64>(record(head), 8) + window;
  const finish = load<u64>(at);
  if (finish <= now) return;
  let passed = finish - now;
  now = finish;
  const queued = min<u64>(passed, load<u32>(at, 20));
  passed -= queued;
  const data = min<u64>(passed, load<u32>(at, 28));
  passed -= data;
  const walk = min<u64>(passed, load<u32>(at, 24));
  passed -= walk;
  add(Counter.cyclesData, data);
  add(Counter.cyclesWalk, walk);
  add(Counter.cyclesWalkerQueue, queued);
  add(Counter.cyclesTlb, passed);
}

/** An access issues. */
export function issueAccess(): void {
  ++index;
  while (index >= blockedAt) retire();
  now += issue;
}

/** `n` accesses issue that all hit at once. */
export function issueMany(n: u64): void {
  let left = n;
  while (left > 0 && blockedAt !== u64.MAX_VALUE) {
    issueAccess();
    --left;
  }
  index += left;
  now += left * issue;
}

/** The access just issued finishes `tlb` + `walk` + `data` cycles later, or more if no walker is free. */
export function delayAccess(tlb: u32, walk: u32, data: u32): void {
  let queued: u32 = 0;
  if (walk > 0) {
    let best: u32 = 0;
    for (let w: u32 = 1; w < walkers; ++w) {
      if (unchecked(walkerFree[w]) < unchecked(walkerFree[best])) best = w;
    }
    const ready = now + tlb;
    const start = max<u64>(ready, unchecked(walkerFree[best]));
    queued = <u32>(start - ready);
    unchecked((walkerFree[best] = start + walk));
  }
  const latency = tlb + queued + walk + data;
  if (latency === 0) return;
  if (waiting === MOST_WINDOW) retire();
  const at = record(head + waiting);
  store<u64>(at, now + latency);
  store<u64>(at, index, 8);
  store<u32>(at, tlb, 16);
  store<u32>(at, queued, 20);
  store<u32>(at, walk, 24);
  store<u32>(at, data, 28);
  if (waiting === 0) blockedAt = index + window;
  ++waiting;
}

const kept = memory.data(1024 * 32 + 16 * 8 + 4 * 8, 16);

/** Keeps the clock as it is, for `restoreClock`. Its counters are not among it. */
export function saveClock(): void {
  memory.copy(kept, queue, MOST_WINDOW * 32);
  memory.copy(kept + MOST_WINDOW * 32, changetype<usize>(walkerFree), MOST_WALKERS * 8);
  const at = kept + MOST_WINDOW * 32 + MOST_WALKERS * 8;
  store<u64>(at, now);
  store<u64>(at, index, 8);
  store<u64>(at, blockedAt, 16);
  store<u32>(at, head, 24);
  store<u32>(at, waiting, 28);
}

export function restoreClock(): void {
  memory.copy(queue, kept, MOST_WINDOW * 32);
  memory.copy(changetype<usize>(walkerFree), kept + MOST_WINDOW * 32, MOST_WALKERS * 8);
  const at = kept + MOST_WINDOW * 32 + MOST_WALKERS * 8;
  now = load<u64>(at);
  index = load<u64>(at, 8);
  blockedAt = load<u64>(at, 16);
  head = load<u32>(at, 24);
  waiting = load<u32>(at, 28);
}

/** Everything under way finishes: before an exit, a fault, and at the end. */
export function drain(): void {
  while (waiting > 0) retire();
}

/** The vCPU stands still for an exit. */
export function stall(hardware: u64, handler: u64): void {
  drain();
  now += hardware + handler;
  add(Counter.cyclesExitHardware, hardware);
  add(Counter.cyclesExitHandler, handler);
}

/** The vCPU runs code of the stand-in kernel that is no access. */
export function stallGuest(cycles: u32): void {
  if (cycles === 0) return;
  drain();
  now += cycles;
  add(Counter.cyclesKernel, cycles);
}

/** Brings the clock's counters up to date. */
export function settleClock(): void {
  set(Counter.cyclesTotal, now);
  set(Counter.cyclesIssue, index * issue);
}
