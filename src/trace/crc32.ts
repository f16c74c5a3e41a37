// Slicing-by-8: eight bytes a step, one table look-up each.
const table = new Int32Array(8 * 256);
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  table[n] = c;
}
for (let n = 0; n < 256; n++) {
  for (let k = 1; k < 8; k++) {
    const c = table[(k - 1) * 256 + n]!;
    table[k * 256 + n] = table[c & 255]! ^ (c >>> 8);
  }
}

/** CRC-32 as in gzip and PNG (reflected 0xEDB88320). `crc` continues an earlier value. Returns 0..2^32-1. */
export function portableCrc32(bytes: Uint8Array, crc = 0): number {
  let c = ~crc;
  const t = table;
  const whole = bytes.length & ~7;
  let i = 0;
  for (; i < whole; i += 8) {
    c ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    c =
      t[0x700 | (c & 255)]! ^
      t[0x600 | ((c >>> 8) & 255)]! ^
      t[0x500 | ((c >>> 16) & 255)]! ^
      t[0x400 | (c >>> 24)]! ^
      t[0x300 | bytes[i + 4]!]! ^
      t[0x200 | bytes[i + 5]!]! ^
      t[0x100 | bytes[i + 6]!]! ^
      t[bytes[i + 7]!]!;
  }
  for (; i < bytes.length; i++) c = (c >>> 8) ^ t[(c ^ bytes[i]!) & 255]!;
  return ~c >>> 0;
}
