export function bit(position: number): bigint {
  return 1n << BigInt(position);
}

/** The manuals' high:low, as a mask; empty when high is below low. */
export function bits(high: number, low: number): bigint {
  return high < low ? 0n : ((1n << BigInt(high - low + 1)) - 1n) << BigInt(low);
}

export function has(value: bigint, mask: bigint): boolean {
  return (value & mask) !== 0n;
}
