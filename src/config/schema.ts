import { z } from "zod";
import { exitReasons } from "../generated/declarations.js";
import { exitGenerationNames, hypervisorNames } from "./exit-profiles.js";
import { kernelSchema } from "./kernel-schema.js";
import { valuesOf } from "./presets/cite.js";
import { defaultPreset, presetNames } from "./presets/index.js";
import { shadowProfileNames } from "./shadow.js";
import type { CacheLevel, EntryCache, MachineConfig, TlbArray, WalkCache } from "./types.js";

/**
 * The schema of one machine's configuration. Every key has a description and a default; the defaults of what a CPU
 * preset gives are those of the default preset.
 */
const cpu = valuesOf(defaultPreset);

const MOST_CYCLES = 1_000_000;
const MOST_ENTRIES = 65_536;

const number = (low: number, high: number, text: string) => z.int().min(low).max(high).describe(text);
const cycles = (text: string) => number(0, MOST_CYCLES, `${text}, in core cycles.`);
const flag = (text: string) => z.boolean().describe(text);

const pageSizes = ["4k", "2m", "1g"] as const;
const policy = z
  .enum(["lru", "fifo", "random", "plru", "nru"])
  .describe("Replacement: plru is a binary tree, nru a bit an entry and a random victim among the unmarked.");
const fillMark = number(0, 100, "Share of fills that nru marks as used, in percent.");
const inclusion = (text: string) =>
  z
    .enum(["none", "inclusive", "victim"])
    .describe(`none; inclusive: what it evicts leaves the levels before it; victim: ${text}.`);

const geometry = {
  entries: number(0, MOST_ENTRIES, "Entries."),
  ways: number(0, MOST_ENTRIES, "Ways of a set; 0 is fully associative.").default(0),
  policy: policy.default("lru"),
  index: z
    .enum(["plain", "hashed"])
    .describe("Set index: low bits of the page number, or these XORed with the bits above.")
    .default("plain"),
  fillMark: fillMark.default(0),
};

const tlbArray = z.strictObject({
  pages: z.array(z.enum(pageSizes)).min(1).max(3).describe("Page sizes held; 4 MiB pages count as 2m."),
  ...geometry,
  entries: number(1, MOST_ENTRIES, "Entries."),
  coalesce: flag(
    "An entry may hold an aligned group of four 4 KiB pages that are contiguous in every stage.",
  ).default(false),
});
const tlbLevel = (most: number, text: string, standard: TlbArray[]) =>
  z
    .array(tlbArray)
    .max(most)
    .describe(`${text}; arrays that are looked up together, at most ${most}.`)
    .default(standard);

const walkCache = (text: string, standard: WalkCache) =>
  z
    .strictObject({
      place: z
        .enum(["none", "own", "l2", "pde", "pdpte"])
        .describe(
          "none; own array; l2: in the first array of tlb.l2; pde, pdpte: in the array of its stage's level 2 or 3.",
        )
        .default(standard.place),
      ...geometry,
      entries: geometry.entries.default(standard.entries),
      ways: geometry.ways.unwrap().default(standard.ways),
      policy: geometry.policy.unwrap().default(standard.policy),
      index: geometry.index.unwrap().default(standard.index),
      fillMark: geometry.fillMark.unwrap().default(standard.fillMark),
    })
    .describe(text)
    .prefault({});

const entryCache = (text: string, standard: EntryCache) =>
  z
    .strictObject({
      holds: z
        .enum(["none", "guest", "both"])
        .describe("Upper entries that it holds: none; the guest's; the guest's and the second stage's.")
        .default(standard.holds),
      entries: geometry.entries.default(standard.entries),
      ways: geometry.ways.unwrap().default(standard.ways),
      policy: policy.default(standard.policy),
      index: geometry.index.unwrap().default(standard.index),
      fillMark: fillMark.default(standard.fillMark),
      cycles: cycles("A reference that it serves").default(standard.cycles),
    })
    .describe(text)
    .prefault({});

const cacheLevel = (text: string, standard: CacheLevel) =>
  z
    .strictObject({
      bytes: number(0, 1 << 28, "Bytes, of 64-byte lines; 0 leaves the level out.").default(standard.bytes),
      ways: number(1, 64, "Ways of a set.").default(standard.ways),
      cycles: cycles("A reference that it serves").default(standard.cycles),
      policy: policy.default(standard.policy),
      fillMark: fillMark.default(standard.fillMark),
      hashMask: number(
        0,
        0xffff_ffff,
        "Bits of the set index that are XORed with the address bits above the index; 0 is a plain index.",
      ).default(standard.hashMask),
      inclusion: inclusion("it takes what the level before it evicts, and gives up what it serves").default(
        standard.inclusion,
      ),
    })
    .describe(text)
    .prefault({});

const handlerCycles = z
  .strictObject(
    Object.fromEntries(
      exitReasons.map(({ name, codes, sentence }) => [
        name,
        cycles(`${sentence.replace(/\.$/, "")} (${codes})`).default(cpu.exits.handlerCycles[name] ?? 0),
      ]),
    ),
  )
  .describe(
    "Handler by exit reason (Intel basic exit reason / AMD exit code), without the work that is counted by itself.",
  )
  .prefault({});

export const machineSchema = z
  .strictObject({
    technique: z
      .enum(["native", "nested", "shadow"])
      .describe(
        "What the hardware walks: the guest's tables, guest and host tables, or the hypervisor's shadow tables.",
      )
      .default("nested"),
    format: z
      .enum(["ept", "npt"])
      .describe(
        "Second stage of nested paging: Intel EPT (SDM 3C 29.3) or AMD NPT (APM 2 15.25), the default for AMD.",
      )
      .default("ept"),
    cpu: z
      .string()
      .describe(`CPU preset that the other keys start from: ${presetNames.join(", ")}.`)
      .default(defaultPreset.name),
    vendor: z
      .enum(["intel", "amd"])
      .describe(
        "Whose manual holds where they differ: reserved bit 8 of upper entries (SDM 3A 4.5, APM 2 5.3).",
      )
      .default(cpu.vendor),
    seed: number(0, 0xffff_ffff, "Seed of every random choice.").default(1),
    guest: z
      .strictObject({
        addressBits: number(
          32,
          52,
          "Guest physical-address width, bits; the bits above are reserved (SDM 3A 4.1.4).",
        ).default(46),
        page1g: flag("The guest may use 1 GiB pages (CPUID 8000_0001 EDX bit 26).").default(true),
        memoryMiB: number(
          0,
          16_777_215,
          "Guest memory in MiB, for KVM's limit of shadow pages; 0 takes the trace's, or 1024 where it says nothing.",
        ).default(0),
      })
      .describe("The guest's virtual CPU and memory.")
      .prefault({}),
    host: z
      .strictObject({
        page: z.enum(pageSizes).describe("Largest host page that backs the guest.").default("4k"),
        levels: number(3, 5, "Levels of the second stage; 3 is NPT of a PAE host.").default(4),
        addressBits: number(
          32,
          52,
          "Host physical-address width, bits; the guest's memory must fit.",
        ).default(cpu.host.addressBits),
        placement: z
          .enum(["sequential", "scattered"])
          .describe("Host pages in order of first use, or scattered by a seeded permutation.")
          .default("sequential"),
        noExecute: flag("The host enables no-execute (EFER.NXE), for NPT (APM 2 15.25.5).").default(true),
        smep: flag(
          "The host sets CR4.SMEP, which shows in the I/D bit of EXITINFO1 (APM 2 15.25.6).",
        ).default(true),
        tdpMmu: flag(
          "KVM's TDP MMU builds the second stage; without, its older code, whose tables are direct shadow pages.",
        ).default(true),
      })
      .describe("How the hypervisor backs guest memory.")
      .prefault({}),
    ept: z
      .strictObject({
        accessedDirty: flag("EPTP enables accessed and dirty flags (SDM 3C 29.3.5).").default(true),
        executeOnly: flag("Execute-only pages are allowed (IA32_VMX_EPT_VPID_CAP bit 0).").default(true),
        modeBasedExecute: flag("Mode-based execute control (SDM 3C 29.3.3).").default(false),
        advancedInfo: flag("Exit qualifications carry bits 9 to 11 (IA32_VMX_EPT_VPID_CAP bit 22).").default(
          false,
        ),
        pml: flag("Page-modification logging (SDM 3C 29.3.6).").default(false),
      })
      .describe("Features of EPT.")
      .prefault({}),
    vpid: flag(
      "TLB entries carry a VPID or ASID; without, every exit flushes the guest's (SDM 3C 29.4).",
    ).default(true),
    tlb: z
      .strictObject({
        l1d: tlbLevel(4, "First-level TLB for data; empty for none", cpu.tlb.l1d),
        l1i: tlbLevel(4, "First-level TLB for instructions; empty for none", cpu.tlb.l1i),
        l1s: tlbLevel(4, "First-level TLB for stores; empty where tlb.l1d serves them", cpu.tlb.l1s),
        l2: tlbLevel(4, "Second-level TLB, for data or shared; empty for none", cpu.tlb.l2),
        l2i: tlbLevel(2, "Second-level TLB for instructions; empty where tlb.l2 is shared", cpu.tlb.l2i),
        l2Inclusion: inclusion("it holds what the first level evicted, and gives up what it serves").default(
          cpu.tlb.l2Inclusion,
        ),
        l2Cycles: cycles("From a first-level miss to a second-level hit").default(cpu.tlb.l2Cycles),
        l2iCycles: cycles("The same for instruction fetches").default(cpu.tlb.l2iCycles),
      })
      .describe("Translation lookaside buffers.")
      .prefault({}),
    psc: z
      .strictObject({
        pde: walkCache("Guest level-2 entries (PDE).", cpu.psc.pde),
        pdpte: walkCache("Guest level-3 entries (PDPTE).", cpu.psc.pdpte),
        pml4e: walkCache("Guest level-4 entries (PML4E).", cpu.psc.pml4e),
        pml5e: walkCache("Guest level-5 entries (PML5E).", cpu.psc.pml5e),
        hostPde: walkCache("Second-stage level-2 entries.", cpu.psc.hostPde),
        hostPdpte: walkCache("Second-stage level-3 entries.", cpu.psc.hostPdpte),
        hostPml4e: walkCache("Second-stage level-4 entries.", cpu.psc.hostPml4e),
        hostPml5e: walkCache("Second-stage level-5 entries.", cpu.psc.hostPml5e),
        nested: walkCache("Nested TLB: guest-physical to host-physical pages.", cpu.psc.nested),
        nestedData: flag(
          "The nested TLB also keeps the translation of the final address, not of tables only.",
        ).default(cpu.psc.nestedData),
        leaves: z
          .array(z.enum(["2m", "1g"]))
          .max(2)
          .describe("Large leaves that are also kept by the paging-structure cache of their level.")
          .default(cpu.psc.leaves),
        physical: entryCache(
          "Page-walk cache by host-physical address (Bhargava et al., ASPLOS 2008), asked before the caches.",
          cpu.psc.physical,
        ),
      })
      .describe("Paging-structure caches (SDM 3A 4.10.3) and the nested TLB.")
      .prefault({}),
    clock: z
      .strictObject({
        issueCycles: number(1, 1024, "From one access to the next, in core cycles.").default(1),
        window: number(
          1,
          1024,
          "Accesses that may be under way behind an unfinished one: 1 waits for every walk, 128 to 512 is an out-of-order core.",
        ).default(1),
        walkers: number(1, 16, "Page walkers; a walk holds one from start to end.").default(
          cpu.clock.walkers,
        ),
      })
      .describe("The clock.")
      .prefault({}),
    walk: z
      .strictObject({
        baseCycles: cycles("A walk beside its references").default(cpu.walk.baseCycles),
        fetchCycles: cycles("Added to a walk for an instruction fetch").default(cpu.walk.fetchCycles),
        upperCycles: cycles("Added by each upper guest entry it reads").default(cpu.walk.upperCycles),
        nestedCycles: cycles("Added by each second-stage walk for a guest table").default(
          cpu.walk.nestedCycles,
        ),
        hostUpperCycles: cycles("Added by each upper second-stage entry it reads").default(
          cpu.walk.hostUpperCycles,
        ),
        cacheLevel: z
          .enum(["l1", "l2", "l3"])
          .describe("Cache level at which a walk's references enter.")
          .default(cpu.walk.cacheLevel),
        eagerAccessed: flag(
          "Accessed flags of upper entries are set even when the walk then faults (SDM 3A 4.8 allows both).",
        ).default(cpu.walk.eagerAccessed),
      })
      .describe("What a page walk costs beside its references.")
      .prefault({}),
    caches: z
      .strictObject({
        enabled: flag(
          "Page-table references go through the caches below; without, each takes referenceCycles.",
        ).default(true),
        data: flag("The guest's accesses go through the same caches and pay for misses.").default(false),
        hypervisor: flag(
          "The hypervisor's references to tables go through the same caches; its handlers' cycles stay as they are.",
        ).default(true),
        l1: cacheLevel("First-level data cache.", cpu.caches.l1),
        l2: cacheLevel("Second-level cache.", cpu.caches.l2),
        l3: cacheLevel("Last-level cache.", cpu.caches.l3),
        l1i: cacheLevel(
          "First-level instruction cache; with 0 bytes, fetches take no part in the caches.",
          cpu.caches.l1i,
        ),
        aliasCycles: cycles(
          "A hit in l1 on a line last accessed by another linear page, if that is more than l1.cycles; 0 makes no difference",
        ).default(cpu.caches.aliasCycles),
        memoryCycles: cycles("A reference served by memory").default(cpu.caches.memoryCycles),
        referenceCycles: cycles("A page-table reference when the caches are not modelled").default(30),
      })
      .describe("Cache hierarchy for page-table entries.")
      .prefault({}),
    exits: z
      .strictObject({
        generation: z
          .enum(exitGenerationNames)
          .describe("CPU whose hardware round trip is set first; cpu is the preset's own.")
          .default("cpu"),
        hypervisor: z
          .enum(hypervisorNames)
          .describe(
            "Type-1, or hosted (type-2): a process of the host emulates the devices. Sets exits.hosted first.",
          )
          .default("type-1"),
        hardwareCycles: cycles("Hardware round trip of one exit and entry").default(cpu.exits.hardwareCycles),
        handlerCycles,
        softwareReferenceCycles: cycles("Each guest entry that the hypervisor's software reads").default(
          cpu.exits.softwareReferenceCycles,
        ),
        entryWriteCycles: cycles("Each second-stage or shadow entry that the hypervisor writes").default(
          cpu.exits.entryWriteCycles,
        ),
        emulationCycles: cycles("Each instruction emulated").default(cpu.exits.emulationCycles),
        tableAllocationCycles: cycles("Each table page that the hypervisor allocates").default(
          cpu.exits.tableAllocationCycles,
        ),
        hosted: cycles(
          "Added to each exit for I/O or a device, where a process of the host emulates it (a type-2 hypervisor, or KVM's user space)",
        ).default(0),
        interrupts: flag("An interrupt delivered to the guest costs an exit.").default(true),
      })
      .describe("VM exits.")
      .prefault({}),
    shadow: z
      .strictObject({
        profile: z
          .enum(shadowProfileNames)
          .describe("Hypervisor whose values of the other shadow keys are set first.")
          .default("kvm-6.1"),
        unsync: flag(
          "A level-1 table becomes writable on its first store and is synchronized later; without, each store traps.",
        ).default(true),
        prefetch: number(
          1,
          512,
          "Entries of the aligned group installed on a fault, a power of two; 1 installs only the faulting one.",
        ).default(8),
        flooding: number(
          0,
          65_535,
          "Emulated stores to an upper table, without a walk through it, that drop its shadow; 0 is never.",
        ).default(3),
        previousRoots: number(0, 3, "Previous roots kept beside the current one.").default(3),
        pageLimit: number(0, 0xffff_ffff, "Most shadow pages; 0 is what shadow.pool says.").default(0),
        kernel: z
          .enum(["6.1", "6.12"])
          .describe("INVLPG and synchronization as in this Linux.")
          .default("6.1"),
        dirtyTrap: flag("A clean writable page is mapped read-only until its first write.").default(true),
        emulateControls: flag(
          "INVLPG and loads of CR3 are emulated, as on an AMD CPU without decode assists; without, the exit says what they do.",
        ).default(false),
        unsyncPages: number(
          0,
          64,
          "Most level-1 tables out of sync at once, each of one shadow page; one more synchronizes the oldest; 0 is no limit.",
        ).default(0),
        unsyncByFrame: flag(
          "With unsyncPages: a table out of sync takes the slot of its frame number or the one after, and whoever loses that is synchronized (Xen: oos_hash_add).",
        ).default(false),
        syncAll: flag(
          "With unsyncPages: a load of CR3 synchronizes every table out of sync, not only those below the new root (Xen: sh_resync_all).",
        ).default(false),
        invlpgDrops: flag(
          "INVLPG drops the entry of a table out of sync and installs nothing, and flushes everything for a splintered page (Xen: sh_invlpg).",
        ).default(false),
        pool: z
          .enum(["kvm", "xen"])
          .describe(
            "Shadow pages where pageLimit is 0: KVM a fiftieth of the guest's 4 KiB pages; Xen 256 and 2 for each MiB.",
          )
          .default("kvm"),
        propagate: flag(
          "An emulated store to a table changes the shadow entry at once; without, it drops the entry and a fault makes the new one.",
        ).default(false),
        prefetchFollowing: flag(
          "A fault installs the entries that follow, up to the first that must fault for its accessed or dirty flag; without, those of its group.",
        ).default(false),
        unshadow: number(
          0,
          65_535,
          "Emulated stores to one table of any level, without another fault between, that drop its shadow; 0 is never.",
        ).default(0),
        splinter: flag("The guest's large pages are always mapped by 4 KiB entries.").default(false),
        nxRole: flag(
          "Shadow pages made under one EFER.NXE do not serve under the other. KVM has one role for both, so a guest that clears NXE sees pages whose entries have bit 63 set, where a CPU refuses them.",
        ).default(true),
        faultDrops: flag(
          "A guest's page fault drops what is mapped at its address, as it drops a CPU's TLB entries (SDM 3A 4.10.4.1). KVM does not where the fault is for a page that is not present (kvm_inject_emulated_page_fault), so what a table out of sync said before may be used once more.",
        ).default(true),
      })
      .describe("Shadow paging: a hypervisor's policy, Linux KVM's (arch/x86/kvm/mmu) by default.")
      .prefault({}),
    kernel: kernelSchema,
  })
  .describe("One machine of nestwalk");

/** The schema's result is the declared type, and the other way round. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
export const schemaIsTheType: Same<z.output<typeof machineSchema>, MachineConfig> = true;

/** JSON Schema (draft 2020-12) of a configuration file: every key may be left out. */
export function jsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(machineSchema, { io: "input" }) as Record<string, unknown>;
}
