import { drain, settleClock } from "../clock";
import { Counter, count } from "../counters";
import { settleOracle } from "../replay/oracle";
import { accessPage } from "../replay/page";
import { registers } from "../vcpu/registers";
import { FETCH, KIND } from "../x86/access";
import { modeOf } from "../x86/rights";

/**
 * Many accesses of one kind, issued by the clock one after the other as in a replay: a measured loop. None may cross a
 * page.
 */
const MOST: u32 = 1 << 17;
let addresses: usize = 0;

/** Where the host writes 64-bit addresses: room for `embedSequenceMost` of them. */
export function embedSequenceAddress(): usize {
  if (addresses === 0) addresses = heap.alloc((<usize>MOST) << 3);
  return addresses;
}
export function embedSequenceMost(): u32 {
  return MOST;
}

/** Makes `n` of the accesses from number `first` on, each for `access` (x86/access.ts), lets them finish and settles the clock's counters. */
export function embedSequence(first: u32, n: u32, access: u32): void {
  const kind = access & KIND;
  const mode = modeOf(access, registers.ac);
  const counter = kind === FETCH ? Counter.fetches : access & 1 ? Counter.writes : Counter.reads;
  for (let i = first; i < first + n; ++i) {
    count(Counter.accesses);
    count(counter);
    accessPage(load<u64>(addresses + ((<usize>i) << 3)), kind, mode, i);
  }
  drain();
  settleClock();
  settleOracle();
}
