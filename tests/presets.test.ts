import { describe, expect, it } from "vitest";
import {
  allKeys,
  citedRows,
  jsonSchema,
  lower,
  presetNames,
  presets,
  resolveConfig,
  valuesOf,
} from "../src/config/index.js";
import { exitReasons } from "../src/generated/declarations.js";

describe("presets", () => {
  it("are the eight CPUs", () => {
    expect(presetNames).toEqual([
      "sandy-bridge",
      "haswell",
      "skylake-sp",
      "golden-cove",
      "zen2",
      "zen3",
      "zen4",
      "zen5",
    ]);
  });

  describe.each(presets.map((p) => [p.name, p] as const))("%s", (name, preset) => {
    const rows = citedRows(preset);

    it("has a source beside every number", () => {
      for (const row of rows) expect(row.source.length, row.path).toBeGreaterThan(10);
      const cited = rows.map((row) => row.path);
      expect(new Set(cited).size).toBe(cited.length);
    });

    it("gives all that a CPU has, and nothing else", () => {
      const config = resolveConfig({ cpu: name });
      const values = valuesOf(preset);
      expect(config).toMatchObject(values);
      for (const part of ["tlb", "psc", "walk"] as const) expect(config[part]).toEqual(values[part]);
      expect(Object.keys(values.exits.handlerCycles)).toEqual(exitReasons.map((r) => r.name));
      expect(config.vendor).toBe(name.startsWith("zen") ? "amd" : "intel");
    });

    it("can be used by every technique and host page size", () => {
      for (const technique of ["native", "nested", "shadow"]) {
        for (const format of ["ept", "npt"]) {
          for (const page of ["4k", "2m", "1g"]) {
            const set = [`technique=${technique}`, `format=${format}`, `host.page=${page}`];
            expect(lower(resolveConfig({ cpu: name, set })).length).toBeGreaterThan(200);
          }
        }
      }
    });
  });

  it("carry the published geometry", () => {
    const shape = (cpu: string) => {
      const { tlb, clock, caches } = resolveConfig({ cpu });
      const sizes = (arrays: { entries: number; ways: number }[]) => arrays.map((a) => [a.entries, a.ways]);
      return [
        sizes(tlb.l1d),
        sizes(tlb.l2),
        sizes(tlb.l2i),
        tlb.l2Cycles,
        clock.walkers,
        caches.memoryCycles,
      ];
    };
    expect(shape("haswell")).toEqual([
      [
        [64, 4],
        [32, 4],
        [4, 4],
      ],
      [[1024, 8]],
      [],
      8,
      1,
      240,
    ]);
    expect(shape("skylake-sp")).toEqual([
      [
        [64, 4],
        [32, 4],
        [4, 4],
      ],
      [
        [1536, 12],
        [16, 4],
      ],
      [],
      9,
      2,
      272,
    ]);
    expect(shape("golden-cove")).toEqual([
      [
        [96, 6],
        [32, 4],
        [8, 0],
      ],
      [
        [1024, 8],
        [1024, 8],
      ],
      [],
      7,
      4,
      296,
    ]);
    expect(shape("zen2")).toEqual([[[64, 0]], [[2048, 16]], [[1024, 8]], 7, 2, 607]);
    expect(shape("zen3")).toEqual([
      [[64, 0]],
      [
        [2048, 16],
        [64, 0],
      ],
      [[512, 4]],
      7,
      6,
      312,
    ]);
    expect(shape("zen4")).toEqual([
      [[72, 0]],
      [
        [3072, 24],
        [64, 0],
      ],
      [[512, 4]],
      5,
      6,
      370,
    ]);
    expect(shape("zen5")).toEqual([
      [[96, 0]],
      [
        [4096, 8],
        [1024, 8],
      ],
      [[2048, 4]],
      7,
      6,
      450,
    ]);
  });
});

describe("the JSON Schema", () => {
  it("describes every key and gives it a default", () => {
    const schema = jsonSchema();
    expect(schema.$schema).toBe("https://json-schema.org/draft/2020-12/schema");
    expect(schema.required).toBeUndefined();
    for (const { path, node } of allKeys()) {
      expect(node.description, path).toMatch(/\S{3}/);
      if (!/\.(pages|entries)$/.test(path)) expect(node.default, path).toBeDefined();
    }
  });
});
