import { z } from "zod";

/**
 * The keys of the stand-in kernel (assembly/guest), which plays the guest's Linux for traces that were recorded without
 * page tables.
 */
const number = (low: number, high: number, text: string) => z.int().min(low).max(high).describe(text);
const cycles = (text: string) => number(0, 100_000_000, `${text}, in core cycles (an estimate).`);
const rate = (text: string) => number(0, 1_000_000, `${text} in a million records of the trace; 0 is none.`);

export const kernelSchema = z
  .strictObject({
    plays: z
      .enum(["none", "programs", "physical"])
      .describe(
        "Whose kernel is played: that of programs, or of a guest whose trace holds guest-physical addresses; a trace without page tables sets it by itself.",
      )
      .default("none"),
    seed: number(0, 0xffff_ffff, "Seed of the kernel's random choices.").default(1),
    levels: number(4, 5, "Levels of the guest's page tables.").default(4),
    directMap: z.enum(["2m", "1g"]).describe("Pages of the kernel's direct map of RAM.").default("2m"),
    pcid: z.boolean().describe("The kernel uses PCIDs, six in turn as Linux does.").default(true),
    pti: z
      .boolean()
      .describe(
        "Page-table isolation: the program runs on a root of its own, and each entry and exit loads CR3.",
      )
      .default(false),
    pages: z
      .enum(["4k", "2m", "thp", "map"])
      .describe(
        "Pages of programs: 4k; 2m (a hugetlb pool); thp (transparent huge pages, always); map: as the trace's header says, 4 KiB where it says nothing and 2 MiB where it says 1 GiB.",
      )
      .default("map"),
    populate: z
      .boolean()
      .describe(
        "Every page is mapped before the program comes to it, at no cost: no faults, nothing but the TLB.",
      )
      .default(false),
    fragmentation: number(
      0,
      100,
      "Percent of the 2 MiB blocks of RAM that hold a frame which never moves, and so are no huge page.",
    ).default(0),
    zeroPage: z
      .boolean()
      .describe(
        "Reads of untouched memory map the zero page, and the first write copies it; without, they map a page of their own, as a trace may begin in the middle of a program.",
      )
      .default(false),
    faultAround: number(
      1,
      512,
      "Pages of code installed together on a fault, a power of two (Linux: fault_around_bytes, 16 pages).",
    ).default(16),
    clearBytes: number(
      8,
      128,
      "Bytes of each store that clears or copies a page, a power of two: 8 is rep stosq, 64 a line.",
    ).default(64),
    quantum: number(
      0,
      0xffff_ffff,
      "Records of the trace after which another process runs and this one again; 0 is never.",
    ).default(0),
    forks: rate("Forks").default(0),
    forkLife: number(1, 0xffff_ffff, "Records of the trace until the child of a fork exits.").default(50_000),
    protects: rate("Changes of protection, which take the right to write away,").default(0),
    protectPages: number(1, 65_536, "Pages of each change of protection.").default(1),
    reclaims: rate("Runs of reclaim, each of 32 pages,").default(0),
    merges: rate("Pages merged with another of the same content (KSM)").default(0),
    faultCycles: cycles(
      "A page fault beside the kernel's stores: entry, handler and return. Adams and Agesen (ASPLOS 2006) measured 1,093 on a Pentium 4",
    ).default(1000),
    switchCycles: cycles("A switch to another process or thread, beside its load of CR3").default(1500),
    callCycles: cycles("A fork, change of protection, run of reclaim or merge, beside its stores").default(
      2000,
    ),
    swapCycles: cycles("Waiting for a page from the swap device").default(100_000),
  })
  .describe("The stand-in kernel, for traces that were recorded without page tables.")
  .prefault({});
