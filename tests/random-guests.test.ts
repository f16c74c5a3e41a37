import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { resolveConfig, type TechniqueName, techniqueKeys } from "../src/config/index.js";
import { Machine } from "../src/machine.js";
import type { MachineResult } from "../src/result.js";
import { type GuestMode, randomGuest } from "./guests/random-guest.js";

/**
 * Random well-behaved guests (guests/random-guest.ts) on every machine. What the reference walker says of an access is what
 * the recording says; so each machine must give no mismatch, confirm every fault, keep every law, and agree with all
 * others on what the guest saw.
 *
 *   NESTWALK_GUESTS=1000 NESTWALK_SEED=1 npx vitest run tests/random-guests.test.ts
 */
const guests = Number(process.env.NESTWALK_GUESTS ?? 2);
const firstSeed = Number(process.env.NESTWALK_SEED ?? 1);

const TINY = [
  'tlb.l1d=[{"pages":["4k","2m","1g"],"entries":4,"ways":2}]',
  'tlb.l1i=[{"pages":["4k","2m","1g"],"entries":2}]',
  'tlb.l2=[{"pages":["4k","2m","1g"],"entries":8,"ways":4}]',
];
const MACHINES: readonly (readonly [TechniqueName, ...string[]])[] = [
  ["native"],
  ["native", ...TINY],
  ["native", "walk.eagerAccessed=true", "clock.window=64"],
  ["ept"],
  ["ept", "host.page=2m", "host.levels=5", "vpid=false"],
  ["ept", "host.page=1g", "ept.accessedDirty=false", ...TINY],
  ["ept", "ept.pml=true", "host.placement=scattered"],
  ["ept", "ept.modeBasedExecute=true", "host.page=2m", "caches.data=true"],
  ["npt"],
  ["npt", "host.page=2m", "host.levels=5"],
  ["npt", "host.page=1g", ...TINY],
  ["npt", "host.tdpMmu=false"],
  ["npt", "host.tdpMmu=false", "host.page=2m", "shadow.pageLimit=64", "shadow.prefetch=64"],
  ["shadow"],
  ["shadow", "shadow.kernel=6.12"],
  ["shadow", "shadow.unsync=false"],
  ["shadow", "shadow.prefetch=1", "shadow.dirtyTrap=false"],
  ["shadow", "shadow.pageLimit=64", "host.page=2m"],
  ["shadow", "shadow.pageLimit=1", "host.page=1g", ...TINY],
  ["shadow", "shadow.previousRoots=0", "shadow.emulateControls=true", "shadow.flooding=1"],
  ["shadow", "shadow.kernel=6.12", "host.page=2m", "shadow.prefetch=512", "vpid=false"],
];

function configOf([technique, ...set]: readonly [TechniqueName, ...string[]]) {
  const options = Object.entries(techniqueKeys(technique)).map(([path, value]) => ({
    option: "--technique",
    path,
    value,
  }));
  return resolveConfig({ set, options });
}

/** What is wrong with a result, in words; empty when nothing is. */
function faultsOf(result: MachineResult, faults: number): string[] {
  const wrong = result.laws.filter((law) => !law.holds).map((law) => `law ${law.name}: ${law.detail}`);
  const { counters, oracle } = result;
  if (oracle.mismatches > 0) wrong.push(oracle.first!);
  if (oracle.unknown > 0) wrong.push(`${oracle.unknown} accesses unknown to the oracle`);
  if (counters.faultsUnconfirmed !== 0 || counters.faultsConfirmed! + counters.faultsStale! !== faults)
    wrong.push(
      `${counters.faultsConfirmed} confirmed, ${counters.faultsStale} stale, ${counters.faultsUnconfirmed} unconfirmed of ${faults} faults`,
    );
  return wrong;
}

function check(seed: number, mode: GuestMode): string[] {
  const guest = randomGuest(seed, mode);
  const wrong: string[] = [];
  let digest: string | undefined;
  for (const machine of MACHINES) {
    const run = (core?: WebAssembly.Module | "simd" | "scalar") => {
      const m = new Machine(configOf(machine), core);
      m.feed(guest.stream);
      return m.finish();
    };
    const who = `seed ${seed}, ${mode}, ${machine.join(" ")}`;
    try {
      const result = run();
      for (const what of faultsOf(result, guest.faults)) wrong.push(`${who}: ${what}`);
      digest ??= result.guestDigest;
      if (result.guestDigest !== digest) wrong.push(`${who}: another guest digest`);
      if (seed % 8 === 0) {
        const bytes = JSON.stringify(result);
        if (JSON.stringify(run("scalar")) !== bytes) wrong.push(`${who}: the scalar core differs`);
        if (JSON.stringify(run(debugCore())) !== bytes) wrong.push(`${who}: the debug core differs`);
      }
    } catch (error) {
      wrong.push(`${who}: ${String(error)}`);
    }
  }
  return wrong;
}

let debug: WebAssembly.Module | undefined;
function debugCore(): WebAssembly.Module {
  debug ??= new WebAssembly.Module(
    readFileSync(fileURLToPath(new URL("../build/core-debug.wasm", import.meta.url))),
  );
  return debug;
}

describe.each(["4-level", "5-level", "pae", "32-bit"] as const)("a random guest with %s tables", (mode) => {
  it("sees the same on every machine, as the reference walker says", () => {
    for (let seed = firstSeed; seed < firstSeed + guests; ++seed) expect(check(seed, mode)).toEqual([]);
  });
});
