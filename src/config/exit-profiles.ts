import { type Cite, cite } from "./presets/cite.js";
import type { ExitGeneration, Hypervisor, MachineConfig } from "./types.js";

/** Costs of exits by generation of the CPU and by kind of hypervisor: each name is values of other `exits` keys. */

type Keys = Partial<Omit<MachineConfig["exits"], "generation" | "hypervisor">>;

const AGESEN = "Agesen et al., USENIX ATC 2012, table 1";

/** Cycles of the hardware's round trip of one exit and entry; `cpu` keeps what the CPU's preset says. */
export const exitGenerations: Readonly<Record<Exclude<ExitGeneration, "cpu">, Cite<number>>> = {
  prescott: cite(3963, AGESEN),
  merom: cite(1579, AGESEN),
  penryn: cite(1266, AGESEN),
  nehalem: cite(1009, AGESEN),
  westmere: cite(761, AGESEN),
  "sandy-bridge": cite(784, AGESEN),
};

/** Cycles that an exit which leaves the kernel adds: to the process of the host that emulates devices, and back. */
export const hypervisors: Readonly<Record<Hypervisor, Cite<number>>> = {
  "type-1": cite(0, "the hypervisor emulates devices itself"),
  hosted: cite(
    4000,
    "estimate: the return of KVM_RUN to user space, the switch of its registers and the system call back; nobody published it apart from the device's own work",
  ),
};

export const exitGenerationNames = ["cpu", ...Object.keys(exitGenerations)] as ExitGeneration[];
export const hypervisorNames = Object.keys(hypervisors) as Hypervisor[];

function entry<T>(table: Readonly<Record<string, Cite<T>>>, name: unknown): T | undefined {
  return typeof name === "string" && Object.hasOwn(table, name) ? table[name]!.value : undefined;
}

/** The keys of a generation. A name that is none has none: the schema refuses it. */
export function exitGenerationKeys(name: unknown): Keys {
  const hardwareCycles = entry(exitGenerations, name);
  return hardwareCycles === undefined ? {} : { hardwareCycles };
}
export function hypervisorKeys(name: unknown): Keys {
  const hosted = entry(hypervisors, name);
  return hosted === undefined ? {} : { hosted };
}
