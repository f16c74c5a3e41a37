/**
 * Where the last translation of a page was found, so that the next access to it reads one slot of a TLB instead of
 * searching it. An accelerator of the simulator, not of the machine: a hint is believed only if its slot still
 * holds the same tag, and the hit that it leads to is counted and aged as any other.
 *
 *   vpn + 1 u64 │ tag u64 │ slot u32 │ array u32     × 512, one table for data and one for instructions
 */
const ENTRIES: usize = 512;
export const HINT_BYTES: usize = 24;

const data = memory.data(512 * 24, 16);
const instructions = memory.data(512 * 24, 16);

export function hintOf(vpn: u64, fetch: bool): usize {
  return select(instructions, data, fetch) + (<usize>vpn & (ENTRIES - 1)) * HINT_BYTES;
}

export function setHint(vpn: u64, fetch: bool, tagAt: usize, array: usize): void {
  const at = hintOf(vpn, fetch);
  store<u64>(at, vpn + 1);
  store<u64>(at, load<u64>(tagAt), 8);
  store<u32>(at, <u32>tagAt, 16);
  store<u32>(at, <u32>array, 20);
}

/** The current address space changed. */
export function forgetHints(): void {
  memory.fill(data, 0, ENTRIES * HINT_BYTES);
  memory.fill(instructions, 0, ENTRIES * HINT_BYTES);
}
