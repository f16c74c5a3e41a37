import { ConfigError, type MachineConfig, resolveConfig } from "../config/index.js";
import { checkOptions } from "./check-options.js";
import { rangesOf } from "./memory.js";

/** A piece of guest-physical memory. */
export interface MemoryRange {
  /** First guest-physical address, a multiple of 4096. */
  address: number;
  /** Where its first byte is in `memory`: a byte offset. */
  base: number;
  /** Bytes, a multiple of 4096. */
  size: number;
  /** What it is; RAM when left out. Writes to ROM go nowhere. */
  kind?: "ram" | "rom";
}

/**
 * Memory that is in none of the ranges. Only TLB misses that meet such a table, and `kind`, ask. Addresses are
 * guest-physical, exact numbers of at most 52 bits; `reason` is one of `Reason`, with the level in its low bits.
 */
export interface PhysicalHooks {
  /** What answers there, a `Kind`; none when left out. */
  kind?(address: number): number;
  /** The entry of 4 or 8 bytes there; 0 when left out. */
  read?(address: number, bytes: 4 | 8, reason: number): bigint;
  write?(address: number, bytes: 4 | 8, value: bigint, reason: number): void;
  /**
   * Replaces the entry there if it still is `expected`; returns false, and changes nothing, if it is not: the walk then
   * starts over. Left out, accessed and dirty flags there stay as they are.
   */
  compareExchange?(address: number, bytes: 4 | 8, expected: bigint, value: bigint, reason: number): boolean;
}

/** What the CPU has, for hosts that do not care for the rest of the configuration. */
export interface Features {
  vendor?: "intel" | "amd";
  /** MAXPHYADDR of the guest, 32 to 52. */
  addressBits?: number;
  /** 1 GiB pages. */
  page1g?: boolean;
  /** VPIDs or ASIDs. */
  vpid?: boolean;
  /** Second stage: levels of its tables, 3 to 5, and its physical-address width. */
  hostLevels?: 3 | 4 | 5;
  hostAddressBits?: number;
  /** The host's EFER.NXE and CR4.SMEP, for NPT. */
  hostNoExecute?: boolean;
  hostSmep?: boolean;
  /** Of EPT. */
  accessedDirty?: boolean;
  executeOnly?: boolean;
  modeBasedExecute?: boolean;
  advancedInfo?: boolean;
  pml?: boolean;
}

const FEATURE_KEYS: Record<keyof Features, string> = {
  vendor: "vendor",
  addressBits: "guest.addressBits",
  page1g: "guest.page1g",
  vpid: "vpid",
  hostLevels: "host.levels",
  hostAddressBits: "host.addressBits",
  hostNoExecute: "host.noExecute",
  hostSmep: "host.smep",
  accessedDirty: "ept.accessedDirty",
  executeOnly: "ept.executeOnly",
  modeBasedExecute: "ept.modeBasedExecute",
  advancedInfo: "ept.advancedInfo",
  pml: "ept.pml",
};

/** A change that makes translations that the host keeps invalid. */
export interface Invalidation {
  /** A `Feed`: address, space, everything, rights or switched. */
  kind: number;
  /** Global pages too. */
  globals: boolean;
  /** Whatever their PCID, or VPID. */
  everyPcid: boolean;
  everyVpid: boolean;
  vpid: number;
  pcid: number;
  /** Of kind address: the two halves. */
  low: number;
  high: number;
  /**
   * log2 of the bytes around the address in which translations may be invalid: the largest page of stage 1 that a
   * translation was given out of so far.
   */
  span: number;
  /** Of kinds switched and rights: number of the address space that is current now. */
  context: number;
}

export interface MmuOptions {
  /**
   * The memory that guest RAM is in. A WebAssembly.Memory: the core is placed behind its end (it is grown by 4 MiB) and
   * reads tables where they are. A buffer or a view: the core asks for each entry that a TLB miss needs. Left out: a new
   * WebAssembly.Memory with guest RAM at byte `base`, `mmu.memory`.
   */
  memory?: WebAssembly.Memory | ArrayBufferLike | ArrayBufferView;
  /** Guest RAM from guest-physical 0 on, or several ranges, at most 16. */
  ram: { base?: number; size: number } | readonly MemoryRange[];
  physical?: PhysicalHooks;
  /** native (the default), ept, npt or shadow. */
  technique?: "native" | "ept" | "npt" | "shadow";
  /**
   * Who is the hypervisor of ept and npt. "host", the default: the second stage's tables are the host's, in guest RAM's
   * memory, and exits are statuses. "model": nestwalk's own, which resolves and counts them. shadow has the model's.
   */
  hypervisor?: "host" | "model";
  /** Name of a CPU preset. */
  cpu?: string;
  features?: Features;
  /** Configuration keys as `--config` has them. */
  config?: object;
  /** Assignments as `--set` has them. */
  set?: readonly string[];
  /** Called for each change that makes translations that the host keeps invalid, before the call that made it returns. */
  onInvalidate?: (invalidation: Invalidation) => void;
  /** Records a trace of what the guest does: `mmu.trace()`. Every access must then be translated. */
  record?: boolean | { guest?: string };
}

/** The configuration that the options describe, and who the hypervisor is. Throws ConfigError. */
export function configOf(options: MmuOptions): { config: MachineConfig; model: boolean } {
  checkOptions(options);
  const technique = options.technique ?? "native";
  if (!["native", "ept", "npt", "shadow"].includes(technique))
    throw new ConfigError(`technique "${technique}" is not known; say native, ept, npt or shadow`);
  if (options.hypervisor !== undefined && !["host", "model"].includes(options.hypervisor))
    throw new ConfigError(`hypervisor "${options.hypervisor}" is not known; say host or model`);
  if (technique === "shadow" && options.hypervisor === "host")
    throw new ConfigError('shadow paging has the model\'s hypervisor; leave hypervisor out, or say "model"');
  const direct: { option: string; path: string; value: unknown }[] = Object.entries(
    options.features ?? {},
  ).map(([name, value]) => {
    const path = FEATURE_KEYS[name as keyof Features];
    if (path === undefined)
      throw new ConfigError(
        `features.${name} is not known; there are ${Object.keys(FEATURE_KEYS).join(", ")}`,
      );
    return { option: `features.${name}`, path, value };
  });
  const nested = technique === "ept" || technique === "npt";
  direct.push({ option: "technique", path: "technique", value: nested ? "nested" : technique });
  if (nested) direct.push({ option: "technique", path: "format", value: technique });
  const ranges = rangesOf(options.ram);
  const bytes = ranges.reduce((sum, { size }) => sum + size, 0);
  direct.unshift({
    option: "ram",
    path: "guest.memoryMiB",
    value: Math.min(Math.max(Math.ceil(bytes / 2 ** 20), 1), 16_777_215),
  });
  const config = resolveConfig({
    cpu: options.cpu,
    file: options.config === undefined ? undefined : { name: "config", value: options.config },
    set: options.set,
    options: direct,
  });
  const model = technique === "shadow" || (nested && options.hypervisor === "model");
  if (model) checkBacking(ranges, config.host.addressBits);
  if (options.record && nested && !model)
    throw new ConfigError(
      "a trace holds what the guest sees: record it natively, or with the model as its hypervisor",
      "record",
    );
  return { config, model };
}

/** Where the model backs a guest: assembly/hypervisor/backing.ts. */
function checkBacking(ranges: readonly MemoryRange[], bits: number): void {
  const base = bits < 36 ? 2 ** (bits - 4) : 2 ** 32;
  for (const { address, size } of ranges)
    if (base + address + size > 2 ** bits)
      throw new ConfigError(
        `ram ends at 0x${(address + size).toString(16)}, which a host of ${bits} address bits cannot back; set features.hostAddressBits`,
        "ram",
      );
}
