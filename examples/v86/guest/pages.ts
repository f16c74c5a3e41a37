/**
 * What the ROM does to its windows (loops.inc, phases.inc), told a second time: the walks that v86 must make for it, in
 * order, with the addresses that they must find.
 */

const WINDOW = 0x4000_0000;
const PAGES = 1024;
const FRAMES = 0x80_0000;
const LARGE_WINDOW = 0x4800_0000;
const LARGE_PAGES = 8;
const TOUCHED = 32;
const NOWHERE = 0x8000_0000;

/** Walks outside these addresses are those for the guest's code, stack and descriptors. */
export function isInWindow(address: number): boolean {
  return address >= WINDOW && address < NOWHERE + 0x1_0000;
}

/** Where the guest's tables lie in its memory, all of them. */
export const TABLES = { first: 0x10_0000, end: 0x10_b000 } as const;

export interface ExpectedWalk {
  /** Linear address of the page. */
  page: number;
  write: boolean;
  user: boolean;
  /** Physical address of the page; a page fault's error code. */
  found: { physical: number; global: boolean; forUser: boolean } | { errorCode: number };
}

interface Page {
  physical: number;
  present: boolean;
  writable: boolean;
  user: boolean;
  global: boolean;
}

/** v86's TLB, which knows what the walk was for: a page that was read may not be written without another walk. */
class Walks {
  readonly made: ExpectedWalk[] = [];
  readonly #entries = new Map<number, { write: boolean; user: boolean; global: boolean }>();
  writeProtect = true;

  /** Returns the error code of a page fault, or undefined. */
  access(address: number, page: Page, write: boolean, user: boolean): number | undefined {
    const entry = this.#entries.get(address);
    if (entry && (entry.write || !write) && (entry.user || !user)) return undefined;
    const refused = (user && !page.user) || (write && !page.writable && (user || this.writeProtect));
    if (!page.present || refused) {
      const errorCode = (page.present ? 1 : 0) | (write ? 2 : 0) | (user ? 4 : 0);
      this.made.push({ page: address, write, user, found: { errorCode } });
      return errorCode;
    }
    const { physical, global } = page;
    this.made.push({ page: address, write, user, found: { physical, global, forUser: page.user } });
    this.#entries.set(address, { write, user: page.user, global });
    return undefined;
  }

  loadCr3(): void {
    for (const [address, { global }] of this.#entries) if (!global) this.#entries.delete(address);
  }
  invlpg(address: number): void {
    this.#entries.delete(address);
  }
  /** v86 drops everything when CR0.PG, CR0.WP or CR4's paging bits change. */
  loadCr0Or4(): void {
    this.#entries.clear();
  }
}

/** The pages of WINDOW as map_window lays them out. */
function windowPages(): Page[] {
  return Array.from({ length: PAGES }, (_, i) => ({
    physical: FRAMES + (((i * 5 + 3) % PAGES) << 12),
    present: i % 64 !== 63,
    writable: i % 4 !== 2,
    user: i % 4 === 0 || i % 4 === 2,
    global: i % 4 === 3,
  }));
}

/** touch_window */
function touchWindow(walks: Walks): void {
  const pages = windowPages();
  const each = (by: number, remainder: number, what: (address: number, i: number) => void) => {
    for (let i = remainder; i < PAGES; i += by) what(WINDOW + (i << 12), i);
  };
  const touch = (write: boolean, by = 1, remainder = 0, user = false) =>
    each(by, remainder, (address, i) => {
      const errorCode = walks.access(address, pages[i]!, write, user);
      if (errorCode === undefined || errorCode & 1) return;
      pages[i] = { ...pages[i]!, present: true, writable: true, user: true, global: false };
      walks.access(address, pages[i]!, write, user);
    });
  const move = (by: number, remainder: number, distance: number) =>
    each(by, remainder, (_, i) => {
      pages[i] = { ...pages[i]!, physical: pages[i]!.physical ^ distance };
    });
  touch(true);
  touch(false);
  move(16, 0, 0x100_0000);
  walks.loadCr3();
  touch(false);
  touch(true, 4, 0);
  move(16, 3, 0x40_0000);
  each(16, 3, (address) => walks.invlpg(address));
  touch(false);
  walks.loadCr0Or4();
  walks.writeProtect = false;
  touch(true, 64, 2);
  walks.loadCr0Or4();
  walks.writeProtect = true;

  const nothing = { physical: 0, present: false, writable: false, user: false, global: false };
  walks.access(NOWHERE, nothing, false, false);
  walks.access(NOWHERE + 0x5000, nothing, true, false);
  walks.loadCr3();
  touch(false, 4, 0, true);
  touch(true, 4, 0, true);
  walks.access(WINDOW + 0x1000, pages[1]!, false, true);
}

/** TOUCH_LARGE_PAGES */
function touchLargePages(walks: Walks, shift: number): void {
  for (let i = 0; i < LARGE_PAGES * TOUCHED; ++i) {
    const number = Math.floor(i / TOUCHED);
    const offset = (number << shift) + (i % TOUCHED) * 0xd000;
    const page = {
      physical: offset,
      present: true,
      writable: true,
      user: (number & 2) !== 0,
      global: (number & 1) !== 0,
    };
    for (const write of [false, true]) walks.access(LARGE_WINDOW + offset, page, write, false);
  }
}

export function expectedWalks(): ExpectedWalk[] {
  const walks = new Walks();
  touchWindow(walks);
  walks.loadCr0Or4();
  touchLargePages(walks, 22);
  walks.loadCr0Or4();
  touchWindow(walks);
  touchLargePages(walks, 21);
  return walks.made;
}
