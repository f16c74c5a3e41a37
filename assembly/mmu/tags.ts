import { currentPcid, globalPages, guest, isPaging } from "../vcpu/registers";
import { Dimension } from "../walk/dimension";
import { host } from "../walk/second";
import { Controls } from "../walk/translate";
import { CR4_PKE, CR4_PKS } from "../x86/control";
import { KIND_NPT } from "../x86/format";
import { ANY_PCID, contextOf, forgetContexts, GUEST_PHYSICAL, NO_PAGING } from "./context";
import { feedRights, feedSwitched } from "./feed";
import { forgetHints } from "./hints";
import { invalidateEverything } from "./invalidation";
import { forgetLookaside } from "./lookaside";
import { buildPermissions } from "./permission";

/** What the hardware walks, and the registers it walks with. Under shadow paging neither is the guest's. */
export let hardware: Dimension = guest;
export let hardwareControls: Controls = new Controls();
/** VPID or ASID of the guest; 0 natively. */
export let vpid: u32 = 0;
/** EPTRTA (or nested root) that tags combined mappings, as `rootTag` makes it; 0 without a second stage. */
export let eptrta: u64 = 0;
/** Context of the current address space, and of its global pages. */
export let context: u32 = 0;
export let globalContext: u32 = 0;
/** Most levels of the tables that the hardware walked. */
let levelsMost: u32 = 0;
/** The context that the host that keeps translations of its own knows of. */
let fedContext: u32 = 0;
/** Bit n: protection key n may refuse an access that the permission masks allow. */
export let keysRestricted: u32 = 0;

/** What the keys were latched from. */
let latchedPkru: u32 = 0;
let latchedPkrs: u32 = 0;

/** The registers that the permission masks were built for. */
let maskedCr0: u64 = u64.MAX_VALUE;
let maskedCr4: u64 = 0;
let maskedPaging = false;

/** Latches which keys restrict anything, after PKRU or IA32_PKRS changed. */
export function latchKeys(): void {
  const c = hardwareControls;
  let bits: u32 = 0;
  if (hardware.format.levels >= 4) {
    const user = c.cr4 & CR4_PKE ? c.pkru : 0;
    const supervisor = c.cr4 & CR4_PKS ? c.pkrs : 0;
    if (user !== latchedPkru || supervisor !== latchedPkrs) {
      feedRights(context);
      forgetLookaside();
    }
    latchedPkru = user;
    latchedPkrs = supervisor;
    bits = user | supervisor;
  }
  keysRestricted = 0;
  for (let key: u32 = 0; key < 16; ++key) {
    if ((bits >> (key << 1)) & 3) keysRestricted |= (<u32>1) << key;
  }
}

export function setHardware(dimension: Dimension, controls: Controls): void {
  hardware = dimension;
  hardwareControls = controls;
}
export function setVirtualTags(itsVpid: u32, itsEptrta: u64): void {
  vpid = itsVpid;
  eptrta = itsEptrta;
}

/**
 * Latches the tags and permission masks of the registers as they are now. Called after every change of one of
 * them: what a walk caches is tagged as of the access that asked for it.
 */
export function retag(): void {
  const pcid = isPaging() ? currentPcid() : NO_PAGING;
  context = contextOf(vpid, pcid, eptrta);
  globalContext = globalPages() ? contextOf(vpid, ANY_PCID, eptrta) : context;
  let physical: u32 = 1;
  if (eptrta !== 0)
    physical = contextOf(GUEST_PHYSICAL | (host.format.kind === KIND_NPT ? vpid : 0), 0, eptrta);
  if (context === 0 || globalContext === 0 || physical === 0) {
    invalidateEverything();
    forgetContexts();
    retag();
    return;
  }
  if (context !== fedContext) {
    fedContext = context;
    feedSwitched(vpid, isPaging() ? currentPcid() : 0, context);
  }
  hardware.context = context;
  levelsMost = max(levelsMost, hardware.format.levels);
  host.context = physical;
  forgetHints();
  forgetLookaside();
  const paging = hardware.format.levels !== 0;
  if (hardwareControls.cr0 !== maskedCr0 || hardwareControls.cr4 !== maskedCr4 || paging !== maskedPaging) {
    maskedCr0 = hardwareControls.cr0;
    maskedCr4 = hardwareControls.cr4;
    maskedPaging = paging;
    buildPermissions(maskedCr0, maskedCr4, paging);
    feedRights(context);
  }
  latchKeys();
}

export function guestLevelsMost(): u32 {
  return levelsMost;
}
