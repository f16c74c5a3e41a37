import { describe, expect, it } from "vitest";
import {
  allKeys,
  lower,
  type MachineConfig,
  profiles,
  resolveConfig,
  withRecordedMemory,
} from "../src/config/index.js";
import { Parameter, parameterCount } from "../src/generated/declarations.js";

type Json = Record<string, unknown>;

/** Every list full and every number away from its bounds, so that each key can change alone. */
function fullConfig(): MachineConfig {
  const array = {
    pages: ["4k" as const],
    entries: 64,
    ways: 4,
    policy: "lru",
    index: "plain",
    fillMark: 10,
    coalesce: false,
  };
  const level = (n: number) => Array.from({ length: n }, () => structuredClone(array));
  const tlb = { l1d: level(4), l1i: level(4), l1s: level(4), l2: level(4), l2i: level(2) };
  return resolveConfig({ file: { name: "full", value: { tlb } } });
}

/** The leaves of a configuration: numbers, words, flags, and lists of words. */
function leaves(node: unknown, path: string[] = []): string[][] {
  if (typeof node !== "object" || node === null) return [path];
  if (Array.isArray(node) && node.every((item) => typeof item === "string")) return [path];
  return Object.entries(node).flatMap(([key, child]) => leaves(child, [...path, key]));
}

const keyNodes = new Map(allKeys().map(({ path, node }) => [path, node]));

/** Another value that the key may have. */
function other(value: unknown, path: string[]): unknown {
  if (typeof value === "boolean") return !value;
  if (typeof value === "number") return value + 1;
  if (Array.isArray(value)) return value.includes("1g") ? [] : [...value, "1g"];
  return keyNodes
    .get(path.map((part) => (/^\d+$/.test(part) ? "0" : part)).join("."))!
    .enum!.find((name) => name !== value);
}

function changed(config: MachineConfig, path: string[]): MachineConfig {
  const copy = structuredClone(config);
  const above = path.slice(0, -1).reduce((node, key) => node[key] as Json, copy as unknown as Json);
  const last = path.at(-1)!;
  above[last] = other(above[last], path);
  return copy;
}

/** Name of a parameter's place in the block. */
function nameOf(index: number): string {
  const names = Object.entries(Parameter).filter(([name]) => !name.endsWith("End"));
  const [name, first] = names.filter(([, at]) => at <= index).at(-1)!;
  return index === first ? name : `${name}+${index - first}`;
}

describe("lowering", () => {
  const config = fullConfig();
  const base = lower(config);
  const reached = new Map<number, string[]>();
  for (const path of leaves(config)) {
    /* Names of other keys' values. */
    if (path[0] === "cpu" || profiles.some((p) => path.join(".") === `${p.group}.${p.key}`)) continue;
    const block = lower(changed(config, path));
    const moved = [...block.keys()].filter((i) => block[i] !== base[i]);
    it(`${path.join(".")} lands in one parameter`, () => {
      expect(moved.map(nameOf)).toHaveLength(1);
    });
    for (const i of moved) reached.set(i, [...(reached.get(i) ?? []), path.join(".")]);
  }

  it("reaches every parameter of the core by exactly one key", () => {
    const missing = Array.from({ length: parameterCount }, (_, i) => i).filter((i) => !reached.has(i));
    expect(missing.map(nameOf)).toEqual([]);
    expect([...reached.values()].filter((keys) => keys.length > 1)).toEqual([]);
    expect(parameterCount).toBe(base.length);
  });

  it("encodes as assembly/parameters.ts says", () => {
    const block = lower(
      resolveConfig({
        cpu: "zen5",
        set: [
          "technique=shadow",
          "format=npt",
          "host.page=1g",
          "host.levels=5",
          "seed=4294967295",
          "shadow.kernel=6.12",
          "guest.memoryMiB=512",
        ],
      }),
    );
    const at = (name: keyof typeof Parameter) => block[Parameter[name]];
    expect({
      technique: at("technique"),
      hostFormat: at("hostFormat"),
      hostLevels: at("hostLevels"),
      hostPageShift: at("hostPageShift"),
      seed: at("seed"),
      vendor: at("vendor"),
      shadowKernel: at("shadowKernel"),
      guestPages: at("guestPages"),
      pscLeaves: at("pscLeaves"),
      walkBaseCycles: at("walkBaseCycles"),
      l2TlbCycles: at("l2TlbCycles"),
      l3Bytes: at("l3Bytes"),
      l2Policy: at("l2Policy"),
      l2HashMask: at("l2HashMask"),
      l3HashMask: at("l3HashMask"),
      l1AliasCycles: at("l1AliasCycles"),
      walkFetchCycles: at("walkFetchCycles"),
      walkerCacheLevel: at("walkerCacheLevel"),
    }).toEqual({
      technique: 2,
      hostFormat: 1,
      hostLevels: 5,
      hostPageShift: 30,
      seed: 4294967295,
      vendor: 1,
      shadowKernel: 612,
      guestPages: 131072,
      pscLeaves: 2,
      walkBaseCycles: 35,
      l2TlbCycles: 7,
      l3Bytes: 33554432,
      l2Policy: 2,
      l2HashMask: 48,
      l3HashMask: 4294967295,
      l1AliasCycles: 14,
      walkFetchCycles: 10,
      walkerCacheLevel: 0,
    });
    const six = (first: number, n: number) => [...block.slice(first + 6 * n, first + 6 * n + 6)];
    expect(six(Parameter.tlbArrays, 0)).toEqual([7, 96, 0, 0, 0, 0]);
    expect(six(Parameter.tlbArrays, 1)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(six(Parameter.tlbArrays, 4)).toEqual([7, 64, 0, 0, 0, 0]);
    expect(six(Parameter.tlbArrays, 8)).toEqual([3, 4096, 8, 4, 0, 20]);
    expect([...block.slice(Parameter.tlbCoalesce, Parameter.tlbCoalesceEnd + 1)]).toEqual([
      1,
      ...Array(17).fill(0),
    ]);
    expect(six(Parameter.tlbArrays, 12)).toEqual([3, 2048, 4, 0, 0, 0]);
    expect(six(Parameter.pscArrays, 0)).toEqual([1, 1792, 7, 4, 0, 30]);
    expect(six(Parameter.pscArrays, 1)).toEqual([3, 0, 0, 0, 0, 0]);
    expect(six(Parameter.pscArrays, 8)).toEqual([1, 512, 8, 4, 0, 30]);
  });

  it("gives the same numbers for the same machine", () => {
    const config = resolveConfig({ cpu: "haswell" });
    expect(lower(config)).toEqual(lower(structuredClone(config)));
    expect(lower(withRecordedMemory(config, 512))[Parameter.guestPages]).toBe(131072);
  });
});
