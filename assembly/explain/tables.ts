import { lookOnly } from "../hypervisor/backing";
import { hardware, hardwareControls } from "../mmu/tags";
import { childOf } from "../technique/shadow/shadow-page";
import { SHADOW, technique } from "../technique/technique";
import { guest, registers } from "../vcpu/registers";
import { translateFirst } from "../walk/translate";
import { setWalker, Walker } from "../walk/walk";
import { noteShadowPage, Purpose, setPurpose } from "./log";

/**
 * An access begins. Under shadow paging what the guest's own tables say of its address, and the hypervisor's, is read
 * beside it, without any effect: the two may differ.
 */
export function beginAccess(va: u64, access: u32): void {
  if (technique !== SHADOW) return;
  setPurpose(Purpose.tables);
  lookOnly(true);
  const before = setWalker(Walker.probe);
  if (guest.format.levels !== 0) translateFirst(guest, registers, va, access);
  hardware.top = 0;
  hardware.level = 1;
  translateFirst(hardware, hardwareControls, va, access);
  setWalker(before);
  lookOnly(false);
  for (let level = hardware.top; level >= hardware.level; --level) noteStateOf(level);
  setPurpose(Purpose.access);
}

/** The shadow page that the entry of `level` lies in: out of sync, direct, or above one that is out of sync. */
function noteStateOf(level: u32): void {
  const frame = hardware.hostAddresses[level] & ~0xfff;
  const page = childOf(frame);
  if (page.isNone()) return;
  const state = (page.unsync ? 1 : 0) | (page.direct() ? 2 : 0) | (page.unsyncChildren !== 0 ? 4 : 0);
  noteShadowPage(level, frame >> 12, page.gfn, state);
}
