/**
 * Each replacement policy as a model of one set that fits a few lines: a list of pages, by way or by age. They share
 * nothing with the core but the random generator's definition.
 */

export interface SetModel {
  /** Whether the page was there; it is afterwards. */
  access(page: number): boolean;
}

export type Draw = () => number;

/** xorshift64 as the core seeds it. */
export function generator(seed: number): Draw {
  let state = (BigInt(seed) << 1n) | 1n;
  const mask = (1n << 64n) - 1n;
  return () => {
    state ^= (state << 13n) & mask;
    state ^= state >> 7n;
    state ^= (state << 17n) & mask;
    return Number(state >> 32n);
  };
}

export function lru(ways: number): SetModel {
  const list: number[] = [];
  return {
    access(page) {
      const at = list.indexOf(page);
      if (at >= 0) list.splice(at, 1);
      list.push(page);
      if (list.length > ways) list.shift();
      return at >= 0;
    },
  };
}

export function fifo(ways: number): SetModel {
  const list: number[] = [];
  return {
    access(page) {
      if (list.includes(page)) return true;
      list.push(page);
      if (list.length > ways) list.shift();
      return false;
    },
  };
}

export function random(ways: number, draw: Draw): SetModel {
  const list: number[] = [];
  return {
    access(page) {
      if (list.includes(page)) return true;
      if (list.length < ways) list.push(page);
      else list[draw() % ways] = page;
      return false;
    },
  };
}

/** A mark per way; the victim is a random unmarked one; all marks go when every way has one. */
export function nru(ways: number, draw: Draw, fillMark: number): SetModel {
  const list: number[] = [];
  const marks: boolean[] = [];
  return {
    access(page) {
      let at = list.indexOf(page);
      if (at >= 0) {
        marks[at] = true;
        return true;
      }
      at = list.length;
      if (at === ways) {
        if (marks.every((mark) => mark)) marks.fill(false);
        const unmarked = [...marks.keys()].filter((way) => !marks[way]);
        at = unmarked[draw() % unmarked.length]!;
      }
      list[at] = page;
      marks[at] = fillMark > 0 && draw() % 100 < fillMark;
      return false;
    },
  };
}

/** A binary tree over the ways whose nodes point to the half touched longer ago; halves without ways are passed by. */
export function plru(ways: number): SetModel {
  const list: number[] = [];
  const right = new Set<string>();
  const leaves = 2 ** Math.ceil(Math.log2(ways));
  const bits = (way: number) => way.toString(2).padStart(Math.log2(leaves), "0").slice(0, Math.log2(leaves));
  const touch = (way: number) => {
    for (const [i, bit] of [...bits(way)].entries())
      bit === "0" ? right.add(bits(way).slice(0, i)) : right.delete(bits(way).slice(0, i));
  };
  const victim = (path = "", size = leaves): number => {
    if (size === 1) return Number.parseInt(path || "0", 2);
    const low = Number.parseInt(`${path}1`.padEnd(Math.log2(leaves), "0"), 2);
    return victim(path + (right.has(path) && low < ways ? "1" : "0"), size / 2);
  };
  return {
    access(page) {
      const there = list.indexOf(page);
      const way = there >= 0 ? there : list.length < ways ? list.length : victim();
      list[way] = page;
      touch(way);
      return there >= 0;
    },
  };
}
