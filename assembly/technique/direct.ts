import { hostFrameOf } from "../hypervisor/backing";
import { configureCache, FEWEST, getPage, makeRoom } from "./shadow/cache";
import { installDevice } from "./shadow/device";
import { Asker, Leaf, setLeaf } from "./shadow/leaf";
import { descend } from "./shadow/link";
import { configurePrefetch, prefetch } from "./shadow/prefetch";
import { roleOf } from "./shadow/role";
import { childOf, NONE, ShadowPage, slotOf } from "./shadow/shadow-page";
import { ACCESS_ALL, configureDirectEntries, isLeaf, isPresent } from "./shadow/spte";
import { configureUnsync } from "./shadow/unsync";
import { commitZaps, prepareZap } from "./shadow/zap";

/**
 * Nested page tables as KVM built them before its TDP MMU: direct pages of the shadow cache, with the same limit, and
 * with neighbours installed together. KVM: `direct_map` under `tdp_mmu=0`.
 */
let root: ShadowPage = NONE;

/** Returns the host frame of the root. */
export function startDirect(levels: u32): u64 {
  /* A two-dimensional walk needs so many pages at once that fewer would never let it end. */
  configureCache(FEWEST);
  configureDirectEntries();
  configurePrefetch();
  configureUnsync();
  return loadDirect(levels);
}

/** Gets a root; returns its host frame. */
export function loadDirect(levels: u32): u64 {
  makeRoom();
  root = getPage(0, roleOf(levels, true, ACCESS_ALL));
  ++root.rootCount;
  return root.frame;
}

/** Lets a zapped root go. */
export function releaseDirect(): void {
  --root.rootCount;
  prepareZap(root);
  commitZaps();
}

/** The page that the leaf of level `goal` for `gpa` belongs in. */
function pageFor(gpa: u64, goal: u32): ShadowPage {
  let page = root;
  for (let level = page.level(); level > goal; --level) {
    const slot = slotOf(gpa, level);
    const spte = page.spte(slot);
    if (isPresent(spte) && !isLeaf(spte, level)) {
      page = childOf(spte);
      continue;
    }
    const first = (gpa >> 12) & ~(((<u64>1) << (9 * (level - 1))) - 1);
    page = descend(page, slot, getPage(first, roleOf(level - 1, true, ACCESS_ALL)));
  }
  return page;
}

/** Maps a guest page; returns false if it was mapped so before. */
export function mapDirect(gpa: u64, goal: u32, write: bool, hostWritable: bool): bool {
  makeRoom();
  const page = pageFor(gpa, goal);
  const slot = slotOf(gpa, goal);
  const first = (gpa >> 12) & ~(((<u64>1) << (9 * (goal - 1))) - 1);
  const leaf = setLeaf(page, slot, ACCESS_ALL, first, hostFrameOf(first), Asker.fault, write, hostWritable);
  if (leaf === Leaf.spurious) return false;
  prefetch(page, slot);
  return true;
}

export function mapDirectDevice(gpa: u64): void {
  makeRoom();
  installDevice(pageFor(gpa, 1), slotOf(gpa, 1), gpa >> 12, ACCESS_ALL);
}
