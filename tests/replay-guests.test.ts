import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { resolveConfig, techniqueKeys } from "../src/config/index.js";
import { Machine } from "../src/machine.js";
import { openFile } from "../src/node/files.js";
import type { MachineResult } from "../src/result.js";
import { openTrace } from "../src/trace/index.js";
import { collect } from "./fixtures/traces.js";

/** Real guests of different kinds (tests/fixtures/README.md). */
const GUESTS = {
  "la57-fork": "five levels, forks and copy-on-write",
  pcid: "PCIDs with no-flush CR3 loads and INVPCID, page-table isolation",
  hugepages: "2 MiB and 1 GiB pages, splits",
  redis: "a database just after its snapshot forked",
} as const;

const MACHINES = {
  shadow: ["shadow"],
  "shadow on 2 MiB host pages": ["shadow", "host.page=2m"],
  "shadow of the textbook, which traps everything": ["shadow", "shadow.profile=textbook"],
  "shadow of Xen": ["shadow", "shadow.profile=xen"],
  "shadow of Xen on 2 MiB host pages": ["shadow", "shadow.profile=xen", "host.page=2m"],
  "shadow of Linux 6.12": ["shadow", "shadow.profile=kvm-6.12"],
  "shadow with few shadow pages": ["shadow", "shadow.pageLimit=64"],
  ept: ["ept"],
  "ept of 5 levels on 2 MiB host pages": ["ept", "host.levels=5", "host.page=2m"],
  "ept without accessed and dirty flags, without VPIDs": ["ept", "ept.accessedDirty=false", "vpid=false"],
  "ept with a page-modification log": ["ept", "ept.pml=true"],
  npt: ["npt", "cpu=zen5"],
  "ept on a host of 32 address bits": ["ept", "host.addressBits=32"],
  "shadow on a host of 34 address bits, scattered": [
    "shadow",
    "host.addressBits=34",
    "host.placement=scattered",
  ],
  "npt of a PAE host on 2 MiB pages": ["npt", "host.levels=3", "host.page=2m"],
  "npt on 1 GiB host pages": ["npt", "cpu=zen2", "host.page=1g", "host.addressBits=52"],
} as const;

describe.each(Object.entries(GUESTS))("%s: %s", (name) => {
  let stream: Uint8Array;
  let native: MachineResult;

  function replay(technique: "native" | "shadow" | "ept" | "npt", ...set: string[]): MachineResult {
    const options = Object.entries(techniqueKeys(technique)).map(([path, value]) => ({
      option: "--technique",
      path,
      value,
    }));
    const machine = new Machine(resolveConfig({ set, options }));
    machine.feed(stream);
    return machine.finish();
  }

  beforeAll(async () => {
    const file = fileURLToPath(new URL(`fixtures/${name}.nwt`, import.meta.url));
    stream = await collect((await openTrace(await openFile(file))).records());
    native = replay("native");
  });

  it("is replayed natively as it was recorded", () => {
    expect(native.oracle).toEqual({ checked: native.counters.accesses, unknown: 0, mismatches: 0 });
    expect(native.counters.faultsConfirmed).toBe(native.counters.guestPageFaults);
    expect(native.counters.faultsConfirmed).toBeGreaterThan(0);
    expect(native.laws.filter((law) => !law.holds)).toEqual([]);
    expect(native.exits).toEqual([]);
  });

  it.each(Object.entries(MACHINES))("looks the same to the guest under %s", (_, [technique, ...set]) => {
    const result = replay(technique, ...set);
    expect(result.laws.filter((law) => !law.holds)).toEqual([]);
    expect(result.oracle).toEqual(native.oracle);
    expect(result.counters.faultsConfirmed).toBe(native.counters.faultsConfirmed);
    expect(result.guestDigest).toBe(native.guestDigest);
    expect(result.counters.exits).toBeGreaterThan(0);
  });
});
