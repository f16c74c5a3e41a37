import { fileURLToPath } from "node:url";
import { beforeAll, expect, it } from "vitest";
import { resolveConfig } from "../src/config/index.js";
import { Machine } from "../src/machine.js";
import { openFile } from "../src/node/files.js";
import { openTrace } from "../src/trace/index.js";
import { collect, cutStream } from "./fixtures/traces.js";

/* What became of the hypervisor's shadow pages, as the result says it. */

let stream: Uint8Array;
beforeAll(async () => {
  const file = fileURLToPath(new URL("fixtures/la57-fork.nwt", import.meta.url));
  stream = cutStream(await collect((await openTrace(await openFile(file))).records()), 400_000);
});

function run(warmup: number, ...set: string[]) {
  const machine = new Machine(resolveConfig({ set }));
  if (warmup > 0) machine.warmUp(warmup);
  machine.feed(stream);
  return machine.finish();
}

const sum = (byLevel: Record<string, number>) => Object.values(byLevel).reduce((a, b) => a + b, 0);

it.each([
  ["technique=shadow", 0],
  ["technique=shadow", 100_000],
  ["shadow.profile=xen", 0],
  ["host.tdpMmu=false", 0],
] as const)("sums to KVM's counters with %s after %i accesses", (key, warmup) => {
  const nested = key === "host.tdpMmu=false";
  const set = nested ? ["technique=nested", "format=npt", key] : ["technique=shadow", key];
  const { counters, shadowPages } = run(warmup, ...set);
  expect(sum(shadowPages!.created)).toBe(counters.mmu_cache_miss);
  expect(sum(shadowPages!.zapped)).toBe(counters.mmu_shadow_zapped);
  expect(sum(shadowPages!.synced)).toBe(counters.shadowPagesSynced);
  expect(sum(shadowPages!.created)).toBeGreaterThan(0);
  const levels = Object.values(shadowPages!).flatMap((byLevel) => Object.keys(byLevel));
  for (const level of levels) expect(level).toMatch(nested ? /^[1-5]d$/ : /^[1-5]d?$/);
});

it("leaves out the pages made during the warm-up", () => {
  const [whole, rest] = [run(0, "technique=shadow"), run(100_000, "technique=shadow")];
  expect(sum(rest.shadowPages!.created)).toBeLessThan(sum(whole.shadowPages!.created));
});

it("counts the direct pages of a TDP MMU, which KVM's counter leaves out, and nothing natively", () => {
  const { counters, shadowPages } = run(0, "technique=nested");
  expect(Object.keys(shadowPages!.created)).toEqual(["1d", "2d", "3d", "4d"]);
  expect(shadowPages!.created["4d"], "the root").toBe(1);
  expect(counters.mmu_cache_miss).toBe(0);
  expect(shadowPages).toMatchObject({ reused: {}, zapped: {}, unsynced: {}, synced: {} });
  expect(run(0, "technique=native")).not.toHaveProperty("shadowPages");
});
