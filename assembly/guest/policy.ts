import { Parameter, parameter } from "../parameters";
import { NO_FRAME } from "./buddy";
import { newRanges } from "./ranges";

/** Which pages become huge. */
export enum Pages {
  small,
  /** Every page is of 2 MiB, as from a hugetlb pool. */
  large,
  /** Linux's transparent huge pages, always. */
  transparent,
  /** As a map of ranges says, and 4 KiB beside it. */
  map,
}

let pages: Pages = Pages.small;

/** Pages of 2 MiB, where a map says so. */
export const largeRanges = newRanges();
/** Where the recording had its pages: the frame of the first page of each range. */
export const placedRanges = newRanges();

export function configurePolicy(): void {
  pages = <Pages>parameter(Parameter.kernelPages);
}

/** The frame that the recording had for a page of the program, or NO_FRAME. */
export function placedFrame(vpn: u64): u64 {
  if (placedRanges.length === 0) return NO_FRAME;
  const row = placedRanges.find(vpn);
  return row === 0 ? NO_FRAME : load<u64>(row, 16) + vpn - load<u64>(row);
}

/**
 * Whether the untouched 2 MiB range of a page is to be mapped as one. Code is a file's, which Linux maps in small pages;
 * a hugetlb pool and a map know nothing of that.
 */
export function wantsHuge(vpn: u64, fetch: bool): bool {
  if (pages === Pages.small) return false;
  if (pages === Pages.large) return true;
  if (pages === Pages.map) return largeRanges.find(vpn) !== 0;
  return !fetch;
}

/** Whether a huge page that is only read is the huge zero page. */
export function hasHugeZeroPage(): bool {
  return pages === Pages.transparent;
}
