import { describe, expect, it } from "vitest";
import {
  defaultPreset,
  findPreset,
  parseConfig,
  parseTechniques,
  resolveConfig,
  techniqueKeys,
  valuesOf,
  withRecordedMemory,
} from "../src/config/index.js";

const hostPage = (value: string) => [{ option: "--host-page", path: "host.page", value }];

describe("precedence of configuration", () => {
  it("starts from defaults that are the default preset's", () => {
    const config = resolveConfig();
    expect(config).toEqual(parseConfig({}));
    expect(config.cpu).toBe("skylake-sp");
    expect(config).toMatchObject(valuesOf(defaultPreset));
    expect([config.technique, config.format, config.host.page, config.clock.window]).toEqual([
      "nested",
      "ept",
      "4k",
      1,
    ]);
  });

  it("is defaults, preset, file, --set in order, direct options", () => {
    const file = {
      name: "m.json",
      value: { host: { page: "2m" }, clock: { walkers: 3, window: 7 }, seed: 9 },
    };
    const layer = (request: Parameters<typeof resolveConfig>[0]) => {
      const c = resolveConfig(request);
      return [c.clock.walkers, c.clock.window, c.host.page, c.seed];
    };
    expect(layer({})).toEqual([2, 1, "4k", 1]);
    expect(layer({ cpu: "zen3" })).toEqual([6, 1, "4k", 1]);
    expect(layer({ cpu: "zen3", file })).toEqual([3, 7, "2m", 9]);
    const set = ["clock.walkers=4", "host.page=1g", "clock.walkers=5"];
    expect(layer({ cpu: "zen3", file, set })).toEqual([5, 7, "1g", 9]);
    expect(layer({ cpu: "zen3", file, set, options: hostPage("4k") })).toEqual([5, 7, "4k", 9]);
  });

  it("takes the preset from --cpu, then --set, then the file", () => {
    const file = { name: "m.json", value: { cpu: "zen2" } };
    expect(resolveConfig({ file }).cpu).toBe("zen2");
    expect(resolveConfig({ file }).tlb).toEqual(valuesOf(findPreset("zen2")).tlb);
    expect(resolveConfig({ file, set: ["cpu=zen3"] }).tlb).toEqual(valuesOf(findPreset("zen3")).tlb);
    const three = resolveConfig({ file, set: ["cpu=zen3"], cpu: "zen4" });
    expect([three.cpu, three.tlb.l2[0]!.entries]).toEqual(["zen4", 3072]);
  });

  it("merges objects key by key and replaces lists", () => {
    const l2 = [{ pages: ["4k"], entries: 512, ways: 4 }];
    const { tlb } = resolveConfig({ file: { name: "m.json", value: { tlb: { l2, l2Cycles: 12 } } } });
    expect(tlb.l2).toEqual([
      { pages: ["4k"], entries: 512, ways: 4, policy: "lru", index: "plain", fillMark: 0, coalesce: false },
    ]);
    expect([tlb.l2Cycles, tlb.l2iCycles, tlb.l1d.length]).toEqual([12, 9, 3]);
  });

  it("reads a whole configuration back to itself", () => {
    for (const cpu of ["golden-cove", "zen5"]) {
      const config = resolveConfig({ cpu, set: ["tlb.l2.0.entries=2048", "seed=77"] });
      expect(resolveConfig({ file: { name: "m.json", value: JSON.parse(JSON.stringify(config)) } })).toEqual(
        config,
      );
    }
  });

  it("nests by the CPU vendor's format unless one is named", () => {
    const format = (request: Parameters<typeof resolveConfig>[0]) => resolveConfig(request).format;
    expect(["sandy-bridge", "golden-cove", "zen2", "zen5"].map((cpu) => format({ cpu }))).toEqual([
      "ept",
      "ept",
      "npt",
      "npt",
    ]);
    expect(format({ set: ["vendor=amd"] })).toBe("npt");
    expect(format({ cpu: "zen4", set: ["format=ept"] })).toBe("ept");
    expect(format({ cpu: "zen4", file: { name: "m.json", value: { format: "ept" } } })).toBe("ept");
    expect(format({ set: ["format=npt"] })).toBe("npt");
  });

  it("never changes a preset", () => {
    const before = JSON.stringify(valuesOf(defaultPreset));
    resolveConfig({ set: ["tlb.l2.0.entries=96", "exits.handlerCycles.cpuid=1"] });
    expect(JSON.stringify(valuesOf(defaultPreset))).toBe(before);
    expect(resolveConfig().tlb.l2[0]!.entries).toBe(1536);
  });
});

describe("--set", () => {
  const set = (...assignments: string[]) => resolveConfig({ set: assignments });

  it("takes JSON and bare words", () => {
    expect(set("host.page=2m").host.page).toBe("2m");
    expect(set('host.page="2m"').host.page).toBe("2m");
    expect(set("vpid=false").vpid).toBe(false);
    expect(set("clock.window= 128 ").clock.window).toBe(128);
    expect(set("shadow.kernel=6.12").shadow.kernel).toBe("6.12");
    expect(set("tlb.l2.1.pages=4k,1g").tlb.l2[1]!.pages).toEqual(["4k", "1g"]);
    expect(set('psc.leaves=["2m","1g"]').psc.leaves).toEqual(["2m", "1g"]);
    expect(set("psc.leaves=1g").psc.leaves).toEqual(["1g"]);
  });

  it("reaches elements of lists, adds one, and replaces all", () => {
    expect(set("tlb.l1d.0.entries=128").tlb.l1d.map((a) => a.entries)).toEqual([128, 32, 4]);
    expect(set('tlb.l2.2={"pages":["1g"],"entries":8}').tlb.l2.map((a) => a.entries)).toEqual([1536, 16, 8]);
    expect(set('tlb.l2.0={"entries":768}').tlb.l2[0]).toMatchObject({ entries: 768, ways: 12 });
    expect(set("tlb.l2=[]", "psc.nested.place=none").tlb.l2).toEqual([]);
    expect(set('psc.nested={"place":"own","entries":64}').psc.nested).toMatchObject({
      place: "own",
      entries: 64,
    });
  });
});

describe("techniques", () => {
  it("are named by what they do, nested paging by its format", () => {
    expect(parseTechniques("native, shadow,ept,npt")).toEqual(["native", "shadow", "ept", "npt"]);
    expect(techniqueKeys("npt")).toEqual({ technique: "nested", format: "npt" });
    expect(techniqueKeys("shadow")).toEqual({ technique: "shadow" });
  });
});

describe("guest memory", () => {
  it("comes from the trace unless the configuration names it", () => {
    expect(withRecordedMemory(resolveConfig(), 512).guest.memoryMiB).toBe(512);
    expect(withRecordedMemory(resolveConfig(), undefined).guest.memoryMiB).toBe(0);
    expect(withRecordedMemory(resolveConfig({ set: ["guest.memoryMiB=64"] }), 512).guest.memoryMiB).toBe(64);
  });
});
