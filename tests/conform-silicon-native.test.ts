import { describe, expect, it } from "vitest";
import { resolveConfig } from "../src/config/index.js";
import { latencies, presetOfChip } from "../src/conform/silicon/latency.js";

describe("native latencies, a node a page", () => {
  const sets = [32, 48, 256, 384, 1024, 2048, 4096];
  it.each([
    ["skylake-sp", [4, 14, 14, 23, 23, 75, 75]],
    ["zen2", [4, 12, 12, 19, 48, 48, 48]],
  ] as const)(
    "%s: the first-level TLB, L2 and the second-level TLB are left where they were measured",
    (cpu, cycles) => {
      const { points, broken } = latencies("Random_Full", 4096, sets, resolveConfig({ cpu }));
      expect(broken).toEqual([]);
      for (const [i, point] of points.entries())
        expect(Math.abs(point.cycles - cycles[i]!), `${point.n} KiB`).toBeLessThan(1);
    },
  );
});

describe("native latencies, a node every few pages", () => {
  it.each([
    ["skylake-sp", 8192, [8192, 12_288, 16_384], [75, 76, 85]],
    ["skylake-sp", 16_384, [16_384, 24_576, 32_768], [76, 76, 92]],
    ["zen2", 8192, [8192, 12_288, 16_384], [53, 65, 70]],
    ["zen2", 16_384, [12_288, 16_384, 24_576], [65, 71, 77]],
  ] as const)(
    "%s, %d bytes apart: the second-level TLB is left where its index says",
    (cpu, stride, sets, cycles) => {
      const { points, broken } = latencies("Random_Full", stride, sets, resolveConfig({ cpu }));
      expect(broken).toEqual([]);
      for (const [i, point] of points.entries())
        expect(Math.abs(point.cycles - cycles[i]!) / cycles[i]!, `${point.n} KiB`).toBeLessThan(0.09);
    },
  );
});

describe("chips", () => {
  it("are found under the names that tables give them", () => {
    const of = (names: string[]) => names.map(presetOfChip);
    expect(of(["skylake_x_7900x", "zen2_rome_7742", "Haswell-E 5820K", "golden_cove_12900k"])).toEqual([
      "skylake-sp",
      "zen2",
      "haswell",
      "golden-cove",
    ]);
    expect(of(["zen3_5900x", "zen4_7950x", "zen5_9950x", "ice_lake_8380"])).toEqual([
      "zen3",
      "zen4",
      "zen5",
      undefined,
    ]);
  });
});
