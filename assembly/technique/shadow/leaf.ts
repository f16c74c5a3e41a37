import { requestFlush } from "../../hypervisor/flush";
import { Tracepoint, traceLevel } from "../../tracepoints";
import { FRAME, WRITABLE } from "../../x86/entries";
import { RIGHT_WRITE } from "../../x86/rights";
import { dropLeaf, dropMappings, RMAP_LONGEST, rmapAdd } from "./rmap";
import { ShadowPage } from "./shadow-page";
import { dirtyBit, isLeaf, isPresent, leafEntry, losesRights, mmuWritableBit } from "./spte";
import { tryUnsync } from "./unsync";
import { clearSlot } from "./zap";

/** What setting a leaf came to. KVM: `RET_PF_*`. */
export enum Leaf {
  fixed,
  /** The entry was there already. */
  spurious,
  /** The page is a table whose stores must exit, and this is one. */
  emulate,
}

/** Who asks for a leaf. */
export enum Asker {
  fault,
  prefetch,
  sync,
}

/** Whether the leaf made last was kept read-only because its page is a table. */
let tableProtected = false;

/** A leaf for `access` to a guest page. KVM: `make_spte`. */
function makeLeaf(
  level: u32,
  access: u32,
  gfn: u64,
  hfn: u64,
  old: u64,
  asker: Asker,
  hostWritable: bool,
): u64 {
  tableProtected = false;
  const spte = leafEntry(access, level, hfn, asker === Asker.fault, hostWritable);
  if (!hostWritable || (access & RIGHT_WRITE) === 0) return spte;
  const writable = spte | WRITABLE | mmuWritableBit;
  /* It was writable: whether the page is a table was decided then. The dirty flag is left to the hardware. */
  if (isPresent(old) && isLeaf(old, level) && (old & WRITABLE) !== 0) return writable;
  if (!tryUnsync(gfn, asker !== Asker.sync, asker === Asker.prefetch)) {
    tableProtected = true;
    return spte;
  }
  return writable | dirtyBit;
}

/** Replaces a leaf that maps the same page; returns whether that asks for a flush. */
export function remakeLeaf(page: ShadowPage, slot: u32, access: u32, hostWritable: bool): bool {
  const old = page.spte(slot);
  const spte = makeLeaf(
    page.level(),
    access,
    page.gfnAt(slot),
    (old & FRAME) >> 12,
    old,
    Asker.sync,
    hostWritable,
  );
  page.setSpte(slot, spte);
  return losesRights(old, spte);
}

/** Maps a guest page by the leaf in `slot`. KVM: `mmu_set_spte`. */
export function setLeaf(
  page: ShadowPage,
  slot: u32,
  access: u32,
  gfn: u64,
  hfn: u64,
  asker: Asker,
  write: bool,
  hostWritable: bool,
): Leaf {
  const level = page.level();
  let flush = false;
  let known = false;
  let old = page.spte(slot);
  if (isPresent(old)) {
    if (!isLeaf(old, level)) {
      clearSlot(page, slot);
      flush = true;
    } else if ((old & FRAME) >> 12 !== hfn) {
      dropLeaf(page, slot);
      flush = true;
    } else {
      known = true;
    }
    old = page.spte(slot);
  }
  const spte = makeLeaf(level, access, gfn, hfn, old, asker, hostWritable);
  const emulate = tableProtected && write;
  let result = Leaf.fixed;
  if (spte === old) {
    result = Leaf.spurious;
  } else {
    page.setSpte(slot, spte);
    if (known && losesRights(old, spte)) flush = true;
    traceLevel(Tracepoint.set_spte_L1, level);
  }
  if (emulate) result = Leaf.emulate;
  if (flush) requestFlush();
  page.setOrigin(slot, gfn, access);
  if (!known) {
    if (rmapAdd(page, slot, gfn) > RMAP_LONGEST) {
      dropMappings(gfn, level);
      requestFlush();
    }
  }
  return result;
}
