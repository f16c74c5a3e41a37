import type { TechniqueName } from "nestwalk";

/** What newcomers need to know of each technique. */
export const techniqueText: Record<TechniqueName, { label: string; brief: string; text: string }> = {
  native: {
    label: "Native",
    brief: "no hypervisor",
    text: "The guest alone on the machine. A TLB miss costs a walk of its page tables: at most one reference for each of their four or five levels.",
  },
  shadow: {
    label: "Shadow paging",
    brief: "tables of the hypervisor",
    text: "The hypervisor keeps page tables of its own that map the guest's addresses straight to the machine's. Walks stay as short as native ones, but the guest's changes to its tables cost VM exits.",
  },
  ept: {
    label: "EPT",
    brief: "nested paging, Intel",
    text: "The hardware walks both the guest's tables and the hypervisor's. The guest changes its tables freely, but a walk can make 24 references instead of 4.",
  },
  npt: {
    label: "NPT",
    brief: "nested paging, AMD",
    text: "AMD's nested paging: two dimensions of page tables like Intel's EPT, with the host's tables in the ordinary format.",
  },
};

/** The words of the figures and the table. */
export const terms: readonly [term: string, meaning: string][] = [
  ["TLB", "Translation lookaside buffer: the CPU's cache of translations from virtual to physical pages."],
  [
    "Page walk",
    "What a TLB miss costs: the CPU reads the page tables from the root down to the page's entry.",
  ],
  ["Reference", "One page-table entry read by a walk, from a cache or from memory."],
  ["VM exit", "The CPU leaves the guest and runs the hypervisor, for a thousand cycles or more."],
  [
    "Guest and host pages",
    "The guest maps virtual to guest-physical pages; under nested paging the host maps those to its own. A translation is as large as the smaller of the two.",
  ],
];
