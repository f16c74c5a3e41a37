/**
 * Functions of the host that embeds the core, for physical memory that is in none of its ranges. The import's module is
 * "host". Addresses come as two halves; `bytes` is 4 or 8; why memory is touched is told as in memory/reason.ts.
 */

export declare function read(low: u32, high: u32, bytes: u32, why: u32): u64;
export declare function write(low: u32, high: u32, bytes: u32, value: u64, why: u32): void;
/** Returns 0 if the entry is not `expected` any more, and then changes nothing. */
export declare function compareExchange(
  low: u32,
  high: u32,
  bytes: u32,
  expected: u64,
  value: u64,
  why: u32,
): u32;
/** A PageKind (memory/ranges.ts). */
export declare function kind(low: u32, high: u32): u32;
