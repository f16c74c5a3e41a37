import { Right } from "nestwalk/embed";

/** Places; a prime, so that code and data at round addresses do not share one. */
const PAGES = 1021;

/** Who accesses: the rights of a page differ between them. */
export const Mode = { user: 0, supervisor: 1, supervisorAc: 2 } as const;

/** Rights of each mode to read, write and fetch. What the CPU does itself is supervisor without EFLAGS.AC. */
const rightsOf = [
  [Right.userRead, Right.userWrite, Right.userFetch],
  [Right.implicitRead, Right.implicitWrite, Right.fetch],
  [Right.read, Right.write, Right.fetch],
] as const;

/**
 * The interpreter's fast path: where in RAM a page lies and what may be done to it. It never looks at page tables; it
 * holds what the MMU answered, until the MMU's feed says that it may not be used any longer.
 */
export class PageCache {
  /** Page numbers; -1 is none. */
  readonly #pages = new Float64Array(3 * PAGES).fill(-1);
  readonly #offsets = new Float64Array(3 * PAGES);
  readonly #rights = new Uint16Array(3 * PAGES);
  /** Translations that were found here. */
  hits = 0;

  /** Offset of a page in memory for an access of `kind` (Access), or -1. */
  find(page: number, mode: number, kind: number): number {
    const at = mode * PAGES + (page % PAGES);
    if (this.#pages[at] !== page || !(this.#rights[at]! & rightsOf[mode]![kind]!)) return -1;
    ++this.hits;
    return this.#offsets[at]!;
  }

  keep(page: number, mode: number, offset: number, rights: number): void {
    const at = mode * PAGES + (page % PAGES);
    this.#pages[at] = page;
    this.#offsets[at] = offset;
    this.#rights[at] = rights;
  }

  dropAll(): void {
    this.#pages.fill(-1);
  }

  /** Drops `count` pages from `first` on. */
  drop(first: number, count: number): void {
    if (count >= PAGES) {
      for (let at = 0; at < this.#pages.length; ++at) {
        const page = this.#pages[at]!;
        if (page >= first && page < first + count) this.#pages[at] = -1;
      }
      return;
    }
    for (let page = first; page < first + count; ++page) {
      for (let at = page % PAGES; at < this.#pages.length; at += PAGES)
        if (this.#pages[at] === page) this.#pages[at] = -1;
    }
  }
}
