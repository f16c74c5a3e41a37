import { resolveConfig } from "../../src/config/index.js";
import { AccessBit } from "../../src/conform/bare/exports.js";
import { FIRST_DATA, type Flags, Guest } from "../../src/conform/guest.js";

/** Small access patterns on a guest laid out by hand, and what the core counts for them. */

export const PAGE = 4096;
export const AT = 2 ** 40;
export const READ = AccessBit.read | AccessBit.user;
export const WRITE = AccessBit.write | AccessBit.user;
export const FETCH = AccessBit.fetch | AccessBit.user;

export type Kind = "read" | "write" | "fetch";

/** The machine of the tests: small, and without what a test does not ask for. */
const BASE = [
  "technique=nested",
  "format=npt",
  "host.addressBits=52",
  "guest.addressBits=46",
  'tlb.l1d=[{"pages":["4k","2m","1g"],"entries":16}]',
  'tlb.l1i=[{"pages":["4k","2m","1g"],"entries":16}]',
  'tlb.l2=[{"pages":["4k","2m"],"entries":64,"ways":4}]',
  "tlb.l2i=[]",
  ...["pde", "pdpte", "pml4e", "pml5e", "hostPde", "hostPdpte", "hostPml4e", "hostPml5e", "nested"].map(
    (cache) => `psc.${cache}={"place":"own","entries":32,"ways":4}`,
  ),
];

export function newGuest(set: readonly string[], flags?: Flags): Guest {
  return new Guest(resolveConfig({ set: [...BASE, ...set] }), { seed: 1, ...(flags && { flags }) });
}

/** Maps 4 KiB pages, or large ones whose frames are contiguous in the host. */
export function mapPages(guest: Guest, pages: readonly number[], level = 1, scattered = false): void {
  const frames = 512 ** (level - 1);
  for (const page of pages) {
    const gfn = FIRST_DATA + page * frames;
    for (let i = 0; i < Math.min(frames, 512); ++i) {
      if (scattered) guest.backAnywhere(gfn + i);
      else guest.back(gfn + i, gfn + i);
    }
    guest.map(AT + page * frames * PAGE, level, gfn);
  }
}

/** Makes the accesses, some at a time. */
export function access(guest: Guest, addresses: readonly number[], bits = READ): void {
  const buffer = guest.addresses();
  const most = buffer.length / 2;
  for (let from = 0; from < addresses.length; from += most) {
    const some = addresses.slice(from, from + most);
    for (const [i, address] of some.entries()) {
      buffer[2 * i] = address >>> 0;
      buffer[2 * i + 1] = Math.floor(address / 0x1_0000_0000);
    }
    guest.run(0, some.length, bits);
  }
}

export const addressOf = (page: number, level = 1, offset = 0) =>
  AT + page * 512 ** (level - 1) * PAGE + offset;

/** Counters by name, and cells of structures as "l1d.misses". */
export function figures(guest: Guest): Record<string, number> {
  const all = { ...guest.core.counters() };
  for (const [name, cells] of Object.entries(guest.core.structures()))
    for (const [cell, value] of Object.entries(cells)) all[`${name}.${cell}`] = value;
  return all;
}

/** 0 to n-1 again and again, in an order that is no stride. */
export function shuffledLaps(n: number, laps: number): number[] {
  const pages: number[] = [];
  let state = 12345;
  for (let lap = 0; lap < laps; ++lap) {
    for (let i = 0; i < n; ++i) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      pages.push((state >>> 8) % n);
    }
  }
  return pages;
}

export const range = (n: number) => Array.from({ length: n }, (_, i) => i);
export const laps = (n: number, times: number) => range(times).flatMap(() => range(n));
