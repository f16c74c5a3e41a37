import type { MachineConfig } from "./config/index.js";
import type { CoreExports } from "./core.js";
import type { MachineResult, Played } from "./result.js";
import type { Recorded } from "./trace/source.js";

/** RAM of the played guest where neither the configuration nor the trace says it: it takes no memory here. */
const RAM_MIB = 16_384;

/** More than a played guest has, whatever addresses a recording names. */
const MOST_RAM_MIB = 1 << 20;

/** The configuration with the stand-in kernel on if the trace was recorded without page tables, and off if with them. */
export function withKernel(config: MachineConfig, recorded: Recorded): MachineConfig {
  if (recorded.tables !== false) return { ...config, kernel: { ...config.kernel, plays: "none" } };
  const plays = recorded.addresses === "guest-physical" ? "physical" : "programs";
  const memoryMiB = config.guest.memoryMiB || Math.max(RAM_MIB, placedMiB(recorded));
  return { ...config, guest: { ...config.guest, memoryMiB }, kernel: { ...config.kernel, plays } };
}

const PAGE_BYTES = { "4k": 1n << 12n, "2m": 1n << 21n, "1g": 1n << 30n } as const;

/** RAM that holds every place which a recording names, as far as a guest has so much. */
function placedMiB({ placement }: Recorded): number {
  if (placement === undefined) return 0;
  const bytes = PAGE_BYTES[placement.pageSize];
  const end = placement.runs.reduce((most, [, gpa, pages]) => {
    const after = BigInt(gpa) + bytes * BigInt(pages);
    return after > most && after >> 20n <= MOST_RAM_MIB ? after : most;
  }, 0n);
  return Number((end + 0xf_ffffn) >> 20n);
}

/** Gives the core the page sizes and places of the header. */
export function layPages(core: CoreExports, { tables, pageSizes, placement }: Recorded): void {
  if (tables !== false) return;
  for (const [from, to] of largeRanges(pageSizes)) core.kernelLargeRange(...page(from), ...page(to));
  if (placement === undefined) return;
  const bytes = PAGE_BYTES[placement.pageSize];
  const runs = placement.runs.map(([gva, gpa, pages]) => {
    const from = BigInt(gva);
    return { from, to: from + bytes * BigInt(pages), gpa: BigInt(gpa) };
  });
  runs.sort((a, b) => (a.from < b.from ? -1 : 1));
  for (const { from, to, gpa } of runs) core.kernelPlacedRange(...page(from), ...page(to), ...page(gpa));
}

/** A page number in two halves, as the core takes it. */
function page(address: bigint): [low: number, high: number] {
  const number = address >> 12n;
  return [Number(number & 0xffff_ffffn), Number(number >> 32n)];
}

const EVERYWHERE = 1n << 57n;

/** Ranges of addresses with large pages, ascending. */
function largeRanges(sizes: Recorded["pageSizes"]): [from: bigint, to: bigint][] {
  if (sizes === undefined || sizes === "4k") return [];
  if (typeof sizes === "string") return [[0n, EVERYWHERE]];
  const found: [bigint, bigint][] = [];
  let at = 0n;
  for (const { from, to, size } of sizes.ranges) {
    if (sizes.default !== "4k" && BigInt(from) > at) found.push([at, BigInt(from)]);
    if (size !== "4k") found.push([BigInt(from), BigInt(to)]);
    at = BigInt(to);
  }
  if (sizes.default !== "4k") found.push([at, EVERYWHERE]);
  return found;
}

/** What was played, by the counters of one machine: the guest does the same in all. */
export function playedBy({ config, counters }: MachineResult, recorded: Recorded): Played | undefined {
  const { kernel, guest } = config;
  if (kernel.plays === "none") return undefined;
  const of = (name: string): number => counters[name] ?? 0;
  return {
    what: sentence(config, recorded),
    policy: kernel,
    ramMiB: guest.memoryMiB,
    processes: of("kernelProcesses"),
    switches: of("kernelSwitches"),
    pageFaults: of("guestPageFaults"),
    pages4k: of("kernelPages4k"),
    pages2m: of("kernelPages2m"),
    hugeFallbacks: of("kernelHugeFallbacks"),
    tablePages: of("tablePages"),
    tableWrites: of("tableWrites"),
    accesses: of("kernelAccesses"),
  };
}

function pagesOf({ kernel }: MachineConfig, { pageSizes, placement }: Recorded): string {
  const places =
    placement === undefined ? "" : " where the recording had them, unless the kernel itself lies there";
  const { pages } = kernel;
  if (pages === "thp") return `transparent huge pages${places}`;
  if (pages === "map" && typeof pageSizes === "object") return `page sizes by range${places}`;
  const large = pages === "2m" || (pages === "map" && pageSizes !== undefined && pageSizes !== "4k");
  return `${large ? "2 MiB" : "4 KiB"} pages${places}`;
}

function sentence(config: MachineConfig, recorded: Recorded): string {
  const { plays, levels, populate } = config.kernel;
  const pages = `${pagesOf(config, recorded)}, ${levels} levels`;
  if (plays === "physical")
    return `The trace holds guest-physical addresses: they are played in an address space that maps each to itself (${pages}), which is there before the trace begins.`;
  const paging = populate ? "every page mapped beforehand" : "paging on demand";
  return `The trace holds no page tables: a stand-in for the Linux kernel played them (${pages}, ${paging}).`;
}
