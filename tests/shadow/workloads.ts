import { Random } from "../core/random-world.js";

/**
 * Event traces of scripted guests, written as the recorded ones are: what the recorded sample has no trace of. Pages
 * lie at 4 GiB upwards; tables are taken from 16 MiB, data from 64 MiB.
 */

const BASE = 0x100000000;
const P = 1;
const W = 2;
const U = 4;
const A = 0x20;
const D = 0x40;
const LEAF = P | W | U | A | D;

class Space {
  /** Tables by the range that they map: "level index". */
  readonly tables = new Map<string, number>();
  readonly leaves = new Map<number, number>();
  constructor(
    readonly pml4: number,
    readonly pcid: number,
  ) {}
}

export class Script {
  private readonly lines: string[] = [];
  private nextTable = 0x1000000;
  private readonly freeTables: number[] = [];
  private nextData = 0x4000000;
  private readonly freeData: number[] = [];

  constructor() {
    this.line("X ffffffff80100000");
    this.line("R ffffffff80008000");
    this.line("W ffffffff80008000");
    for (let i = 0; i < 32; ++i) {
      const last = `ffffffff801${i.toString(16).padStart(2, "0")}ff8`;
      this.line(`R ${last}`);
      if (i >= 4) this.line(`W ${last}`);
    }
  }

  line(text: string): void {
    this.lines.push(text);
  }
  text(): string {
    return `${this.lines.join("\n")}\n`;
  }
  phase(name: string, act: () => void): void {
    this.line(`BEGIN ${name}`);
    act();
    this.line(`END ${name}`);
  }
  ptew(gpa: number, value: number): void {
    this.line(`PTEW ${gpa.toString(16)} ${value.toString(16)}`);
  }
  data(): number {
    const reused = this.freeData.pop();
    if (reused !== undefined) return reused;
    const gpa = this.nextData;
    this.nextData += 4096;
    return gpa;
  }
  private table(): number {
    const reused = this.freeTables.pop();
    if (reused !== undefined) {
      this.line(`ZERO ${reused.toString(16)}`);
      return reused;
    }
    const gpa = this.nextTable;
    this.nextTable += 4096;
    return gpa;
  }

  space(pcid = 0): Space {
    const space = new Space(this.table(), pcid);
    this.ptew(space.pml4 + 511 * 8, 0x2063);
    return space;
  }
  cr3(space: Space | undefined, noFlush = false): void {
    const value = space === undefined ? "1000" : (space.pml4 | space.pcid).toString(16);
    this.line(`CR3 ${noFlush ? `8${value.padStart(15, "0")}` : value}`);
    this.line("X ffffffff80100000");
  }

  /** Guest-physical address of the entry of `level` for page `i`, whose tables are built as needed. */
  entry(space: Space, i: number): number {
    const va = BASE + i * 4096;
    let table = space.pml4;
    for (let level = 4; level > 1; --level) {
      const index = Math.floor(va / 2 ** (12 + 9 * (level - 1)));
      const key = `${level} ${index}`;
      let next = space.tables.get(key);
      if (next === undefined) {
        next = this.table();
        space.tables.set(key, next);
        this.ptew(table + (index % 512) * 8, next | LEAF);
      }
      table = next;
    }
    return table + (Math.floor(va / 4096) % 512) * 8;
  }
  set(space: Space, i: number, value: number): void {
    this.ptew(this.entry(space, i), value);
    if (value === 0) space.leaves.delete(i);
    else space.leaves.set(i, value);
  }
  invlpg(i: number): void {
    this.line(`INVLPG ${(BASE + i * 4096).toString(16)}`);
  }
  /** A read or write of page `i`; whether it faults in the guest is known from its entry. */
  access(space: Space, i: number, write: boolean): boolean {
    const leaf = space.leaves.get(i) ?? 0;
    const faults = (leaf & P) === 0 || (write && (leaf & W) === 0);
    this.line(`${faults ? "F" : ""}${write ? "W" : "R"} ${(BASE + i * 4096).toString(16)}`);
    return faults;
  }
  /** An access whose fault is repaired by `repair` and then made again. */
  touch(space: Space, i: number, write: boolean, repair: () => void): void {
    if (!this.access(space, i, write)) return;
    repair();
    this.line("IRET");
    this.access(space, i, write);
  }
  storeData(gpa: number): void {
    this.line(`W ffffffff${(0x80000000 + gpa).toString(16)}`);
  }
  /** Frees the tables, leaves upwards, after clearing the upper entries. */
  exit(space: Space, next: Space | undefined): void {
    for (const i of [...space.leaves.keys()]) this.set(space, i, 0);
    this.cr3(space);
    for (const key of space.tables.keys()) {
      const [level = 0, index = 0] = key.split(" ").map(Number);
      const above = level === 4 ? space.pml4 : space.tables.get(`${level + 1} ${Math.floor(index / 512)}`)!;
      this.ptew(above + (index % 512) * 8, 0);
    }
    this.cr3(next);
    this.freeTables.push(...space.tables.values(), space.pml4);
    space.tables.clear();
  }
  mapped(n: number, flags = LEAF, step = 1): Space {
    const space = this.space();
    for (let i = 0; i < n; ++i) this.set(space, i * step, this.data() | flags);
    this.cr3(space);
    return space;
  }
}

/** W10: the host takes half of the pages away. */
export function unmapped(n: number, style: number, write: boolean): string {
  const s = new Script();
  const space = s.mapped(n);
  for (let i = 0; i < n; ++i) s.access(space, i, true);
  s.phase("unmap", () => {
    if (style === 0) s.line(`HOSTUNMAP 4000000 ${((n / 2) * 4096).toString(16)}`);
    else for (let i = 0; i < n; i += 2) s.line(`HOSTUNMAP ${(0x4000000 + i * 4096).toString(16)} 1000`);
  });
  s.phase("touch", () => {
    for (let i = 0; i < n; ++i) s.access(space, i, write);
  });
  s.phase("write", () => {
    for (let i = 0; i < n; ++i) s.access(space, i, true);
  });
  return s.text();
}

/** W11: one page in each 2 MiB. */
export function sparse(n: number): string {
  const s = new Script();
  const space = s.mapped(n, LEAF, 512);
  for (const phase of ["t1", "t2"]) {
    s.phase(phase, () => {
      for (let i = 0; i < n; ++i) s.access(space, i * 512, false);
    });
  }
  return s.text();
}

/** W13: the accessed flags are cleared, and the pages read again. */
export function aged(n: number, invlpg: boolean): string {
  const s = new Script();
  const space = s.mapped(n);
  for (let i = 0; i < n; ++i) s.access(space, i, true);
  for (const round of [1, 2]) {
    s.phase(`age${round}`, () => {
      for (let i = 0; i < n; ++i) {
        s.set(space, i, space.leaves.get(i)! & ~A);
        if (invlpg) s.invlpg(i);
      }
      if (!invlpg) s.cr3(space);
    });
    s.phase(`read${round}`, () => {
      for (let i = 0; i < n; ++i) s.access(space, i, false);
    });
  }
  return s.text();
}

/** W14: fork, copy on write in the child, exit, and the parent's pages made writable again. */
export function forked(n: number): string {
  const s = new Script();
  const parent = s.mapped(n);
  for (let i = 0; i < n; ++i) s.access(parent, i, true);
  let child: Space;
  s.phase("fork", () => {
    child = s.space();
    for (let i = 0; i < n; ++i) {
      const leaf = parent.leaves.get(i)! & ~W;
      s.set(child, i, leaf);
      s.set(parent, i, leaf);
    }
    s.cr3(parent);
  });
  s.phase("child", () => {
    s.cr3(child);
    for (let i = 0; i < n; ++i) {
      s.touch(child, i, true, () => {
        const copy = s.data();
        s.storeData(copy);
        s.set(child, i, copy | LEAF);
        s.invlpg(i);
      });
    }
  });
  s.phase("exit", () => s.exit(child, parent));
  s.phase("parent", () => {
    for (let i = 0; i < n; ++i) {
      s.touch(parent, i, true, () => {
        s.set(parent, i, parent.leaves.get(i)! | W);
        s.invlpg(i);
      });
    }
  });
  return s.text();
}

/** W5 with PCIDs: address spaces in turn, each with a remapped page; loads flush or do not. */
export function switched(spaces: number, pages: number, noFlush: boolean): string {
  const s = new Script();
  const all = Array.from({ length: spaces }, (_, j) => {
    const space = s.space(j + 1);
    for (let i = 0; i < pages; ++i) s.set(space, i, s.data() | P | W | U);
    return space;
  });
  for (const phase of ["first", "second", "steady"]) {
    s.phase(phase, () => {
      for (const space of all) {
        s.cr3(space, noFlush);
        for (let i = 0; i < pages; ++i) s.access(space, i, true);
        s.set(space, 0, s.data() | LEAF);
        if (noFlush) s.invlpg(0);
      }
    });
  }
  return s.text();
}

/** W16: a random life of processes. */
export function lives(operations: number, seed: number): string {
  const s = new Script();
  const r = new Random(seed);
  const spaces = [s.space()];
  let current = spaces[0]!;
  s.cr3(current);
  const pages = () => r.below(4) * 512 * 3 + r.below(64);
  const mapPage = (i: number, value: number) => {
    const present = current.leaves.has(i);
    s.storeData(value & ~0xfff);
    s.set(current, i, value);
    if (present) s.invlpg(i);
  };
  const burst = () => {
    const first = pages();
    for (let i = first; i < first + 4; ++i)
      s.touch(current, i, r.chance(0.5), () => mapPage(i, s.data() | LEAF));
  };
  const operation = () => {
    const p = r.next();
    if (p < 0.6) burst();
    else if (p < 0.74) {
      current = r.pick(spaces);
      s.cr3(current);
    } else if (p < 0.79 && spaces.length < 6) {
      const child = s.space();
      for (const [i, leaf] of current.leaves) {
        s.set(child, i, leaf & ~W);
        s.set(current, i, leaf & ~W);
      }
      s.cr3(current);
      spaces.push(child);
    } else if (p < 0.84 && spaces.length > 1) {
      const gone = current;
      spaces.splice(spaces.indexOf(gone), 1);
      current = spaces[0]!;
      s.exit(gone, current);
    } else if (p < 0.92) {
      for (const i of [...current.leaves.keys()].slice(0, 8)) {
        s.set(current, i, 0);
        s.invlpg(i);
      }
    } else {
      for (const [i, leaf] of [...current.leaves].slice(0, 16)) s.set(current, i, leaf & ~W);
      s.cr3(current);
    }
  };
  for (const phase of ["mix1", "mix2", "mix3"]) {
    s.phase(phase, () => {
      for (let i = 0; i < operations; ++i) operation();
    });
  }
  return s.text();
}
