import { add, Counter, count, peak, subtract } from "../../counters";
import { requestFlush } from "../../hypervisor/flush";
import { Parameter, parameter } from "../../parameters";
import { Tracepoint, tracePage } from "../../tracepoints";
import { FREE_OBSOLETE, request } from "./requests";
import { writeProtect } from "./rmap";
import { isDirect, levelOf } from "./role";
import { NONE, newShadowPage, ShadowPage } from "./shadow-page";
import { syncEntries } from "./sync";
import { track } from "./tracking";
import { commitZaps, prepareZap } from "./zap";

/**
 * All shadow pages: by guest frame, in a hash whose buckets hold the newest first, and the active ones from the
 * newest to the oldest. KVM: `kvm_mmu_find_shadow_page`, `kvm_mmu_alloc_shadow_page`.
 */
const BITS: u32 = 12;
const buckets = memory.data(4096 * 4, 16);

let newest: usize = 0;
let oldest: usize = 0;
/** Pages not yet freed, and the most that there should be. */
export let used: u32 = 0;
let most: u32 = 0;

/** Free pages that a fault wants to find, and those that are made free when there are fewer. */
const ENOUGH_FREE: u32 = 5;
const REFILL: u32 = 25;
/** KVM gives shadow pages a fiftieth of the guest's pages, and never fewer than this. */
const PERMILLE: u32 = 20;
export const FEWEST: u32 = 64;
/** Xen gives so many to a guest of one vCPU, and so many more for each MiB (libxl_create.c: `libxl__get_required_paging_memory`). */
const XEN_POOL: u32 = 256;
const XEN_POOL_PER_MIB: u32 = 2;

/** `fewest`: a limit below it is not taken. */
export function configureCache(fewest: u32): void {
  const limit = parameter(Parameter.shadowPageLimit);
  const pages = parameter(Parameter.guestPages);
  const share =
    parameter(Parameter.shadowPool) === 0
      ? <u32>((<u64>pages * PERMILLE) / 1000)
      : XEN_POOL + (pages >> 8) * XEN_POOL_PER_MIB;
  most = limit !== 0 ? max(limit, fewest) : max(share, FEWEST);
}

/** KVM: `kvm_page_table_hashfn`, the kernel's `hash_64`. */
function bucketOf(gfn: u64): usize {
  return buckets + ((<usize>((gfn * 0x61c8864680b583eb) >> (64 - BITS))) << 2);
}

/** First page of the bucket that holds the pages of `gfn`; others follow by `next`. */
export function firstOf(gfn: u64): ShadowPage {
  return changetype<ShadowPage>(load<usize>(bucketOf(gfn)));
}
export function nextOf(page: ShadowPage): ShadowPage {
  return changetype<ShadowPage>(page.next);
}
/** Whether `page` is one of `gfn` that shadows a table and still counts. */
export function shadows(page: ShadowPage, gfn: u64): bool {
  return page.gfn === gfn && !page.invalid && !page.direct();
}

function enterHash(page: ShadowPage): void {
  const bucket = bucketOf(page.gfn);
  page.next = load<usize>(bucket);
  store<usize>(bucket, changetype<usize>(page));
}

function leaveHash(page: ShadowPage): void {
  const bucket = bucketOf(page.gfn);
  let at = load<usize>(bucket);
  if (at === changetype<usize>(page)) {
    store<usize>(bucket, page.next);
    return;
  }
  while (changetype<ShadowPage>(at).next !== changetype<usize>(page)) at = changetype<ShadowPage>(at).next;
  changetype<ShadowPage>(at).next = page.next;
}

function activate(page: ShadowPage): void {
  page.newer = 0;
  page.older = newest;
  if (newest !== 0) changetype<ShadowPage>(newest).newer = changetype<usize>(page);
  else oldest = changetype<usize>(page);
  newest = changetype<usize>(page);
}

export function deactivate(page: ShadowPage): void {
  if (page.newer !== 0) changetype<ShadowPage>(page.newer).older = page.older;
  else newest = page.older;
  if (page.older !== 0) changetype<ShadowPage>(page.older).newer = page.newer;
  else oldest = page.newer;
  page.newer = 0;
  page.older = 0;
}

/** A page leaves the count at once, and the hash when it is freed. */
export function forgetPage(): void {
  --used;
  subtract(Counter.mmu_shadow_pages, 1);
}
export function removePage(page: ShadowPage): void {
  leaveHash(page);
}

/** The shadow page of `gfn` in that role, from the cache or new. It is in sync with its table when it is returned. */
export function getPage(gfn: u64, role: u32): ShadowPage {
  const level = levelOf(role);
  let collisions: u32 = 0;
  let found = NONE;
  for (let page = firstOf(gfn); !page.isNone(); page = nextOf(page)) {
    if (page.invalid) continue;
    if (page.gfn !== gfn) {
      ++collisions;
      continue;
    }
    if (page.role !== role) {
      /* The frame becomes an upper table, which is always protected: an unsync page of it must not stay. */
      if (level > 1 && page.unsync) prepareZap(page);
      continue;
    }
    if (!page.direct()) {
      /* Fresh, but still writable: the guest has to flush before it may rely on later stores. */
      if (page.unsync && syncEntries(page)) requestFlush();
      page.flood = 0;
    }
    found = page;
    break;
  }
  commitZaps();
  peak(Counter.max_mmu_page_hash_collisions, collisions);
  if (!found.isNone()) {
    tracePage(Tracepoint.sp_reused_L1, level, isDirect(role));
    return found;
  }
  count(Counter.mmu_cache_miss);
  tracePage(Tracepoint.sp_created_L1, level, isDirect(role));
  return createPage(gfn, role);
}

function createPage(gfn: u64, role: u32): ShadowPage {
  const page = newShadowPage(gfn, role);
  enterHash(page);
  activate(page);
  ++used;
  count(Counter.mmu_shadow_pages);
  if (!isDirect(role)) {
    track(page);
    if (writeProtect(gfn)) requestFlush();
  }
  return page;
}

/**
 * A change of the memory slots makes every page obsolete; roots in use are let go before the guest goes on.
 * KVM: `kvm_mmu_zap_all_fast`, whose generations let it give way to others in between.
 */
export function zapAllPages(): void {
  request(FREE_OBSOLETE);
  let at = oldest;
  while (at !== 0) {
    const page = changetype<ShadowPage>(at);
    at = page.newer;
    if (prepareZap(page) !== 0) at = oldest;
  }
  commitZaps();
}

/**
 * Before a fault or a root load takes new pages: zaps the oldest ones when few are left. Roots in use stay.
 * KVM: `make_mmu_pages_available`, `kvm_mmu_zap_oldest_mmu_pages`.
 */
export function makeRoom(): void {
  const free = most > used ? most - used : 0;
  if (free >= ENOUGH_FREE) return;
  const wanted = REFILL - free;
  let zapped: u32 = 0;
  let at = oldest;
  while (at !== 0 && zapped < wanted) {
    const page = changetype<ShadowPage>(at);
    at = page.newer;
    if (page.rootCount !== 0) continue;
    const along = prepareZap(page);
    zapped += along + 1;
    if (along !== 0) at = oldest;
  }
  commitZaps();
  add(Counter.mmu_recycled, zapped);
}
