import { checkedKind } from "../embed/access";
import { holdFeed } from "../mmu/feed";
import { forgetHints } from "../mmu/hints";
import { invalidateEverything } from "../mmu/invalidation";
import { accessSlow } from "../replay/access";
import { leaveExits, leavesExits } from "../technique/technique";
import { linearAddress, registers } from "../vcpu/registers";
import { modeOf } from "../x86/rights";
import { startLog, stopLog } from "./log";
import { restoreMachine, saveMachine } from "./snapshot";
import { captureState } from "./state";

/** What an access does, for a person to read: of those that happen from here on, or of one that does not happen. */

/** From here on, until `explainEnd`, each access is kept step by step; what was kept before is dropped. */
export function explainBegin(): void {
  captureState();
  forgetHints();
  startLog(true);
}

export function explainEnd(): void {
  stopLog();
}

/**
 * What the access (x86/access.ts) at an address, in two halves, would do now, up to the fault or the exit that it may end
 * in. The machine is the same afterwards. `cold`: as if the TLBs, the paging-structure caches and the nested TLB were empty.
 */
export function explainProbe(vaLow: u32, vaHigh: u32, access: u32, cold: bool): void {
  const kind = checkedKind(access);
  const left = leavesExits();
  captureState();
  saveMachine();
  leaveExits(true);
  holdFeed(true);
  if (cold) invalidateEverything();
  startLog(false);
  accessSlow(linearAddress(<u64>vaLow | ((<u64>vaHigh) << 32)), kind, modeOf(access, registers.ac));
  stopLog();
  holdFeed(false);
  leaveExits(left);
  restoreMachine();
}

export { logAddress as explainLogAddress, logLength as explainLogLength } from "./log";
export { stateAddress as explainStateAddress } from "./state";
