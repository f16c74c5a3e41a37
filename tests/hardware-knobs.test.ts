import { describe, expect, it } from "vitest";
import { allKeys } from "../src/config/index.js";
import { cachesKnobs } from "./hardware/knobs/caches.js";
import { pscKnobs } from "./hardware/knobs/psc.js";
import { countersOf, recordedKnobs } from "./hardware/knobs/recorded.js";
import type { Direction } from "./hardware/knobs/runs.js";
import { tlbKnobs } from "./hardware/knobs/tlb.js";
import { walkKnobs } from "./hardware/knobs/walk.js";

/**
 * A test per knob of the hardware: the same accesses on two machines that differ in one key, and the counter that
 * must move.
 */

function moves(before: number, after: number, direction: Direction): void {
  if (direction === "more") expect(after).toBeGreaterThan(before);
  else if (direction === "fewer") expect(after).toBeLessThan(before);
  else expect(after).toBe(before);
}

const synthetic = [...tlbKnobs, ...pscKnobs, ...walkKnobs, ...cachesKnobs];

describe("turning a knob moves its counter", () => {
  it.each(synthetic)("%s", (_, run, before, after, counter, direction) => {
    moves(run(before)[counter]!, run(after)[counter]!, direction);
  });

  it.each(recordedKnobs)("%s", async (_, guest, before, after, counter, direction) => {
    moves((await countersOf(guest, before))[counter]!, (await countersOf(guest, after))[counter]!, direction);
  });
});

/** Arrays of one kind have the same keys: which array a path names, and which key of any array of its kind. */
const ARRAY =
  /^(tlb)\.(l1d|l1i|l1s|l2|l2i)(?:\.\d+\.(\w+))?$|^(psc)\.(?!physical|nestedData|leaves)(\w+)\.(\w+)$|^(caches)\.(l\w+)\.(\w+)$/;

function named(path: string): string[] {
  const [part, name, key] = (ARRAY.exec(path) ?? []).slice(1).filter((group) => group !== undefined);
  if (part === undefined) return [path];
  return key === undefined ? [`${part}.${name}`] : [`${part}.${name}`, `${part}.*.${key}`];
}

/** The paths that assignments give, with those inside JSON. */
function assigned(set: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (path: string, value: unknown): void => {
    if (Array.isArray(value) && value.some((item) => typeof item === "object"))
      for (const [i, item] of value.entries()) visit(`${path}.${i}`, item);
    else if (typeof value === "object" && value !== null && !Array.isArray(value))
      for (const [key, item] of Object.entries(value)) visit(`${path}.${key}`, item);
    else found.set(path, JSON.stringify(value));
  };
  for (const assignment of set) {
    const at = assignment.indexOf("=");
    const text = assignment.slice(at + 1);
    visit(assignment.slice(0, at), /^[[{]/.test(text) ? JSON.parse(text) : text);
  }
  return found;
}

describe("knobs of TLBs, paging-structure caches, walks, caches and the clock", () => {
  it("are all turned", () => {
    const turned = new Set<string>();
    for (const [, , before, after] of [...synthetic, ...recordedKnobs]) {
      const [a, b] = [assigned(before), assigned(after)];
      for (const path of new Set([...a.keys(), ...b.keys()]))
        if (a.get(path) !== b.get(path)) for (const name of named(path)) turned.add(name);
    }
    const leaves = allKeys().filter(({ path, node }) => node.type !== "object" && !/^tlb\.\w+$/.test(path));
    const keys = leaves
      .map(({ path }) => path)
      .concat(["tlb.l2Inclusion", "tlb.l2Cycles", "tlb.l2iCycles"])
      .filter((path) => /^(tlb|psc|walk|caches|clock)\./.test(path));
    expect([...new Set(keys.flatMap(named))].filter((name) => !turned.has(name))).toEqual([]);
  });
});
