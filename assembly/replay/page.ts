import { issueAccess } from "../clock";
import { countStructure, Structure, StructureCell } from "../counters";
import { pageFaulted, populate, populates } from "../guest/kernel";
import { playing } from "../guest/mapping";
import { TaggedArray } from "../mmu/array";
import { hintOf } from "../mmu/hints";
import { accessClass, permits } from "../mmu/permission";
import { entrySize, sizeClass } from "../mmu/tlb";
import { FETCH } from "../x86/access";
import { fault, Outcome } from "../x86/fault";
import {
  accessedAddress,
  accessSlow,
  addressIn,
  dataCaches,
  keyRestricted,
  repeatHits,
  wasEmulated,
} from "./access";
import { refuse, repeatVerified, verify, verifyGuestFrame } from "./oracle";
import { noteFrame, watching } from "./working-set";

/** One access of the trace to one page: translated, held against the oracle, and if it faults served by the stand-in kernel. */

/** The access of `kind` in `mode` at `va`, which must not cross a page; `event` is its number in the trace. */
export function accessPage(va: u64, kind: u32, mode: u32, event: u64): void {
  const vpn = va >> 12;
  issueAccess();
  const hint = hintOf(vpn, kind);
  if (load<u64>(hint) === vpn + 1) {
    const at = <usize>load<u32>(hint, 16);
    if (load<u64>(at) === load<u64>(hint, 8)) {
      const array = changetype<TaggedArray>(<usize>load<u32>(hint, 20));
      const data = array.data(at);
      if (permits(accessClass(kind, mode), data) && !keyRestricted(data) && !dataCaches) {
        array.touch(at);
        const structure = <Structure>array.structure;
        countStructure(structure, StructureCell.lookups);
        countStructure(structure, <StructureCell>(<u32>StructureCell.hits4k + sizeClass(entrySize(data))));
        verify(vpn, addressIn(data, va) >> 12, event, kind);
        return;
      }
    }
  }
  if (populates) populate(va);
  let outcome = accessSlow(va, kind, mode);
  if (outcome !== Outcome.ok && playing) outcome = playFaults(va, kind, mode, event, outcome);
  if (outcome === Outcome.ok) {
    if (watching) noteFrame(accessedAddress, wasEmulated);
    if (wasEmulated) verifyGuestFrame(vpn, accessedAddress >> 12, event, kind);
    else verify(vpn, accessedAddress >> 12, event, kind);
  } else {
    refuse(vpn, event, kind, outcome, fault.errorCode);
  }
}

/** The stand-in kernel handles the faults of an access, which needs one or two, until it succeeds. */
function playFaults(va: u64, kind: u32, mode: u32, event: u64, refused: Outcome): Outcome {
  let outcome = refused;
  for (let i = 0; i < MOST_FAULTS && outcome === Outcome.pageFault; ++i) {
    if (!pageFaulted(va, kind, event)) break;
    outcome = accessSlow(va, kind, mode);
  }
  return outcome;
}
const MOST_FAULTS: i32 = 4;

/** The fetch just made from the page of `va` is made `n` more times: each hits the first level. */
export function repeatFetch(va: u64, n: u64): void {
  repeatHits(va, FETCH, n);
  repeatVerified(va >> 12, n);
}
