/** The bytes of an assembled guest (assemble.mjs) into memory at `address`. */
export function loadImage(
  image: readonly (readonly [offset: number, bytes: string])[],
  write: (address: number, byte: number) => void,
  address: number,
): void {
  for (const [offset, bytes] of image)
    for (let i = 0; i < bytes.length; i += 2)
      write(address + offset + i / 2, Number.parseInt(bytes.slice(i, i + 2), 16));
}
