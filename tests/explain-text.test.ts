import { describe, expect, it } from "vitest";
import type { TechniqueName } from "../src/config/index.js";
import { explanationText, stepText } from "../src/explain/index.js";
import type { Explanation } from "../src/explain/types.js";
import type { RecordEncoder } from "../src/trace/index.js";
import { BASE, boot, type Guest, machineOf, pages } from "./explain/guests.js";

/** Structures and costs in round numbers. */
const PLAIN = [
  "caches.enabled=false",
  "caches.referenceCycles=10",
  "walk.baseCycles=0",
  "walk.fetchCycles=0",
  "walk.upperCycles=0",
  "walk.nestedCycles=0",
  "walk.hostUpperCycles=0",
  "tlb.l2Cycles=7",
  "psc.nested.place=own",
  "psc.nested.entries=16",
];

/** What the last of the accesses did. */
function last(
  technique: TechniqueName,
  guest: Guest,
  play: (e: RecordEncoder) => unknown,
  set: string[] = [],
): Explanation {
  const machine = machineOf(technique, [...PLAIN, ...set]);
  const e = boot(guest);
  machine.feed(e.take());
  play(e);
  const records = e.take();
  let at: Explanation | undefined;
  machine.beginExplanation();
  machine.pauseAt({ events: machine.events + 1 }, () => {
    at = machine.takeExplanation();
    machine.beginExplanation();
    return true;
  });
  machine.feed(records);
  return at!;
}

const text = (explanation: Explanation) =>
  explanationText(explanation, { width: 200 }).slice(2).join("\n").trim();
const one = pages({ 0: 0x10067n, 1: 0x11067n });

describe("a native walk", () => {
  it("is four references when nothing is cached", () => {
    const it = last("native", { tables: one }, (e) => e.read(BASE + 8, 8));
    expect(explanationText(it, { width: 120 }).join("\n")).toBe(
      `access 1 (record 9): read at 0x400008 by user mode
4-level paging, native; CR0 0x80050033, CR3 0x1000, CR4 0x20, EFER 0xd01, CPL 3

L1D TLB: miss
L2 TLB: miss, 7 cycles
walk: 4 references, 40 cycles
     PDE cache, PDPTE cache, PML4E cache: miss
  1  PML4E  [0]  at 0x1000  0x2067   P RW US A    10
  2  PDPTE  [0]  at 0x2000  0x3067   P RW US A    10
  3  PDE    [2]  at 0x3010  0x4067   P RW US A    10
  4  PTE    [0]  at 0x4000  0x10067  P RW US A D  10
filled: L2 TLB (4k), L1D TLB (4k)
translated: 0x400008 -> 0x10008; page 4k; user, writable, executable, dirty`,
    );
  });

  it("is one reference when the PDE cache has its table, and none when the TLB has the page", () => {
    expect(text(last("native", { tables: one }, (e) => e.read(BASE, 8).read(BASE + 4096, 8)))).toBe(
      `L1D TLB: miss
L2 TLB: miss, 7 cycles
walk: 1 reference, 10 cycles
     PDE cache: hit, goes on at 0x4000
  1  PTE  [1]  at 0x4008  0x11067  P RW US A D  10
filled: L2 TLB (4k), L1D TLB (4k)
translated: 0x401000 -> 0x11000; page 4k; user, writable, executable, dirty`,
    );
    expect(text(last("native", { tables: one }, (e) => e.read(BASE, 8).read(BASE + 16, 8)))).toBe(
      `L1D TLB: hit (4k page, RWX user dirty)
translated: 0x400010 -> 0x10010; page 4k; user, writable, executable, dirty`,
    );
  });

  it("ends at large pages, and sets the flags that are missing", () => {
    const tables = {
      1: [4, { 0: 0x2067n }],
      2: [3, { 0: 0x3067n, 1: 0x4000_0087n }],
      3: [2, { 2: 0x40_00a7n }],
    } as Guest["tables"];
    expect(text(last("native", { tables }, (e) => e.write(BASE + 0x1234, 4)))).toContain(
      `  3  PDE    [2]  at 0x3010  0x4000a7  P RW US A PS  10
     sets D in PDE
filled: L2 TLB (2m), L1D TLB (2m)
translated: 0x401234 -> 0x401234; page 2m; user, writable, executable, dirty`,
    );
    expect(text(last("native", { tables }, (e) => e.fetch(0x4000_5000, 4)))).toContain(
      `  2  PDPTE  [1]  at 0x2008  0x40000087  P RW US PS  10
     sets A in PDPTE
filled: L2 TLB (1g)
translated: 0x40005000 -> 0x40005000; page 1g; user, writable, executable, clean`,
    );
  });

  it("takes the level-3 entry of PAE from a register", () => {
    const tables = {
      1: [3, { 0: 0x2001n }],
      2: [2, { 2: 0x3067n }],
      3: [1, { 0: 0x10067n }],
    } as Guest["tables"];
    const explanation = last("native", { tables, efer: 0x800, mode: 3 }, (e) => e.read(BASE, 4));
    expect(text(explanation)).toBe(
      `L1D TLB: miss
L2 TLB: miss, 7 cycles
walk: 2 references, 20 cycles
     PDE cache: miss
     PDPTE is a register: 0x2001
  1  PDE  [2]  at 0x2010  0x3067   P RW US A    10
  2  PTE  [0]  at 0x3000  0x10067  P RW US A D  10
filled: L2 TLB (4k), L1D TLB (4k)
translated: 0x400000 -> 0x10000; page 4k; user, writable, executable, dirty`,
    );
    expect(explanation.state.paging).toBe("PAE");
    expect(explanation.walks[0]!.grid[0]).toEqual({
      guestLevel: 3,
      name: "PDPTE",
      cells: [{ hostLevel: 0, name: "PDPTE", skippedBy: "PDPTE register" }],
    });
  });
});

/** Leaves that refuse one access or another. */
const picky = pages({
  0: 0x10067n,
  2: 0x8_0000_0001_2067n,
  3: 0x13063n,
  4: 0x8000_0000_0001_4067n,
  5: 0x1800_0000_0001_5067n,
  6: 0x16065n,
});
const NO_HOST_CACHES = ["nested", "hostPde", "hostPdpte", "hostPml4e"].map(
  (name) => `psc.${name}.place=none`,
);

describe("a two-dimensional walk", () => {
  const cold = (technique: "ept" | "npt", set: string[]) => {
    const machine = machineOf(technique, [...PLAIN, ...set]);
    machine.feed(boot({ tables: one }).read(BASE, 8).read(BASE, 8).take());
    return machine.explain(BigInt(BASE), {}, { cold: true });
  };

  it("is 24 references when nothing is cached, and nothing caches them on the way", () => {
    const it = cold("ept", NO_HOST_CACHES);
    expect(it.totals).toEqual({
      references: 24,
      walks: 1,
      exits: 0,
      cycles: { tlb: 7, walk: 240, exit: 0, data: 0 },
    });
    const lines = explanationText(it, { width: 120 });
    expect(lines[0]).toBe(
      "what a read at 0x400000 by user mode would do after access 2 (record 10), with TLBs and paging-structure caches empty",
    );
    expect(lines.slice(4, 14).join("\n")).toBe(
      `L1D TLB: miss
L2 TLB: miss, 7 cycles
walk: 24 references, 240 cycles
         EPT PML4E  EPT PDPTE  EPT PDE  EPT PTE  entry
  PML4E  1          2          3        4        5
  PDPTE  6          7          8        9        10
  PDE    11         12         13       14       15
  PTE    16         17         18       19       20
  page   21         22         23       24
`,
    );
    expect(lines.slice(15, 17)).toEqual([
      "   1  EPT PML4E of PML4E      [0]  at 0x100000     0x101107     R W X A       10",
      "   2  EPT PDPTE of PML4E      [0]  at 0x101000     0x102107     R W X A       10",
    ]);
    expect(lines.slice(-3)).toEqual([
      "  24  EPT PTE of the page    [16]  at 0x103080     0x100005137  R W X A WB    10",
      "filled: L2 TLB (4k), L1D TLB (4k)",
      "translated: 0x400000 -> 0x10000 -> 0x100005000; page 4k (tables 4k, second stage 4k); user, writable, executable, clean",
    ]);
  });

  it("marks what large pages, paging-structure caches and the nested TLB spare", () => {
    const it = cold("npt", ["host.page=2m", "psc.nested.place=none"]);
    expect(it.totals.references).toBe(11);
    expect(text(it)).toContain(
      `         NPT PML4E  NPT PDPTE  NPT PDE  NPT PTE  entry
  PML4E  1          2          3        .        4
  PDPTE  :          :          5        .        6
  PDE    :          :          7        .        8
  PTE    :          :          9        .        10
  page   :          :          11       .
  . 2m page
  : NPT PDPTE cache
`,
    );
    const warm = last("ept", { tables: one }, (e) =>
      e.read(BASE, 8).invlpg(BASE).read(BASE, 8).invlpg(BASE).read(BASE, 8),
    );
    expect(text(warm)).toBe(
      `L1D TLB: miss
L2 TLB: miss, 7 cycles
walk: 5 references, 50 cycles
         EPT PML4E  EPT PDPTE  EPT PDE  EPT PTE  entry
  PML4E  .          .          .        .        1
  PDPTE  .          .          .        .        2
  PDE    .          .          .        .        3
  PTE    .          .          .        .        4
  page   :          :          :        5
  . nested TLB
  : EPT PDE cache

     PDE cache, PDPTE cache, PML4E cache: miss
     nested TLB for 0x1000: hit, 4k page at 0x100001000
  1  PML4E                 [0]  at 0x100001000  0x2067       P RW US A    10
     nested TLB for 0x2000: hit, 4k page at 0x100002000
  2  PDPTE                 [0]  at 0x100002000  0x3067       P RW US A    10
     nested TLB for 0x3010: hit, 4k page at 0x100003000
  3  PDE                   [2]  at 0x100003010  0x4067       P RW US A    10
     nested TLB for 0x4000: hit, 4k page at 0x100004000
  4  PTE                   [0]  at 0x100004000  0x10067      P RW US A D  10
     EPT PDE cache: hit, goes on at 0x103000
  5  EPT PTE of the page  [16]  at 0x103080     0x100005137  R W X A WB   10
filled: L2 TLB (4k), L1D TLB (4k)
translated: 0x400000 -> 0x10000 -> 0x100005000; page 4k (tables 4k, second stage 4k); user, writable, executable, clean`,
    );
  });

  it("says what an EPT violation and a nested page fault report", () => {
    const probed = (technique: "ept" | "npt") => {
      const machine = machineOf(technique, PLAIN);
      machine.feed(boot({ tables: one }).read(BASE, 8).take());
      return text(machine.explain(BigInt(BASE + 4096), { kind: "write" }))
        .split("\n")
        .slice(-4)
        .join("\n");
    };
    expect(probed("ept")).toBe(
      `  2  EPT PTE of the page  [17]  at 0x103088     0x0      empty        10
     refused: EPT PTE is not present
it is left to the hypervisor
EPT violation, qualification 0x182 (write, linear, final): EPT PTE is not present`,
    );
    expect(probed("npt")).toBe(
      `  2  NPT PTE of the page  [17]  at 0x103088     0x0      empty        10
     refused: NPT PTE is not present
it is left to the hypervisor
nested page fault, EXITINFO1 0x100000006 (W/R, U/S, final): NPT PTE is not present`,
    );
  });

  it("is made again for each exit, as it happens", () => {
    const it = last("ept", { tables: one }, (e) => e.read(BASE, 8));
    expect(it.walks.map(({ attempt, references, outcome }) => [attempt, references, outcome])).toEqual([
      [1, 1, "eptViolation"],
      [2, 6, "eptViolation"],
      [3, 7, "eptViolation"],
      [4, 8, "eptViolation"],
      [5, 9, "eptViolation"],
      [6, 8, "translated"],
    ]);
    expect(it.totals.exits).toBe(5);
    expect(text(it)).toContain(
      "the hypervisor repaired it: the access is made again\nwalk 6: 8 references, 80 cycles\n",
    );
  });
});

describe("an access that is refused", () => {
  it.each<[string, Partial<Guest>, (e: RecordEncoder) => unknown, string, string, string]>([
    [
      "by a reserved bit",
      {},
      (e) => e.read(BASE + 0x2000, 8),
      "  4  PTE    [2]  at 0x4010  0x8000000012067  P RW US A D reserved bit 51  10",
      "PTE has reserved bit 51 set",
      "page fault, error code 0xd (P, U/S, RSVD)",
    ],
    [
      "by XD",
      {},
      (e) => e.fetch(BASE + 0x4000, 4),
      "  4  PTE    [4]  at 0x4020  0x8000000000014067  P RW US A D XD  10",
      "the page is not executable: XD is set in PTE",
      "page fault, error code 0x15 (P, U/S, I/D)",
    ],
    [
      "by U/S",
      {},
      (e) => e.read(BASE + 0x3000, 8),
      "  4  PTE    [3]  at 0x4018  0x13063  P RW A D   10",
      "the page is the supervisor's: U/S is clear in PTE",
      "page fault, error code 0x5 (P, U/S)",
    ],
    [
      "by R/W",
      {},
      (e) => e.write(BASE + 0x6000, 8),
      "  4  PTE    [6]  at 0x4030  0x16065  P US A D   10",
      "the page is read-only: R/W is clear in PTE",
      "page fault, error code 0x7 (P, W/R, U/S)",
    ],
    [
      "by a protection key",
      { cr4: 0x400020 },
      (e) => e.pkru(0x80).write(BASE + 0x5000, 8),
      "  4  PTE    [5]  at 0x4028  0x1800000000015067  P RW US A D key 3  10",
      "protection key 3: PKRU has WD3 set, which forbids writes",
      "page fault, error code 0x27 (P, W/R, U/S, PK)",
    ],
    [
      "by SMAP",
      { cr4: 0x200020, mode: 0 },
      (e) => e.write(BASE, 8),
      "  4  PTE    [0]  at 0x4000  0x10067  P RW US A D  10",
      "the supervisor accesses a user page, which CR4.SMAP forbids while EFLAGS.AC is clear",
      "page fault, error code 0x3 (P, W/R)",
    ],
    [
      "by SMEP",
      { cr4: 0x100020, mode: 0 },
      (e) => e.fetch(BASE, 4),
      "  4  PTE    [0]  at 0x4000  0x10067  P RW US A D  10",
      "the supervisor fetches from a user page, which CR4.SMEP forbids",
      "page fault, error code 0x11 (P, I/D)",
    ],
  ])("%s", (_, guest, play, entry, why, fault) => {
    const it = last("native", { tables: picky, ...guest }, play);
    const lines = explanationText(it, { width: 200 });
    expect(lines.slice(-4)).toEqual([
      entry,
      `     refused: ${why}`,
      "the guest takes the fault",
      `${fault}: ${why}`,
    ]);
    const { outcome } = it.accesses[0]!;
    expect(it.steps[outcome.entry!]).toMatchObject({ kind: "reference", name: "PTE" });
  });

  it("as its address is not canonical", () => {
    const it = last("native", { tables: picky }, (e) => e.read(0x8000_0000_0000n, 8));
    expect(text(it).split("\n").slice(-2)).toEqual([
      "refused: the address is not canonical",
      "general-protection fault: the address is not canonical",
    ]);
    expect(it.walks).toEqual([]);
    expect(it.accesses).toMatchObject([
      { va: "0x800000000000", kind: "read", outcome: { kind: "generalProtection", check: "canonical" } },
    ]);
  });

  it("by an entry that a paging-structure cache holds", () => {
    const tables = { ...pages({ 0: 0x10067n, 1: 0x11067n }), 3: [2, { 2: 0x4065n }] } as Guest["tables"];
    const it = last("native", { tables }, (e) => e.read(BASE, 8).write(BASE + 4096, 8));
    expect(it.accesses[0]!.outcome.text).toBe(
      "page fault, error code 0x7 (P, W/R, U/S): the page is read-only: R/W is clear in an entry above, which a paging-structure cache holds",
    );
  });
});

describe("a step in a line", () => {
  it("says what it was", () => {
    const it = last("ept", { tables: one }, (e) => e.read(BASE, 8));
    const lines = it.steps.map(stepText);
    expect(lines.slice(0, 3)).toEqual(["L1D TLB: miss", "L2 TLB: miss, 7 cycles", "a walk begins"]);
    const final = it.steps.slice(it.walks.at(-1)!.lastStep - 4).map(stepText);
    expect(final).toEqual([
      "sets A in EPT PTE",
      "EPT PML4E cache takes the table of 0x10000",
      "EPT PDPTE cache takes the table of 0x10000",
      "EPT PDE cache takes the table of 0x10000",
      "the walk ends: 8 references, 80 cycles",
      "L2 TLB takes the 4k page of 0x400000",
      "L1D TLB takes the 4k page of 0x400000",
      "translated to 0x100005000",
    ]);
    const entry = it.steps.findLast(({ kind }) => kind === "reference")!;
    expect(stepText(entry)).toBe(
      "8: EPT PTE of the page [16] at 0x103080: 0x100005037 (R W X WB), 10 cycles",
    );
  });
});

describe("under shadow paging", () => {
  /** The guest maps its own level-1 table at page 7, and stores into it. */
  const tables = pages({ 0: 0x10067n, 7: 0x4067n });
  const stored = (e: RecordEncoder) =>
    e
      .read(BASE, 8)
      .write(BASE + 0x7000, 8)
      .ptw(0x4000, 0x20067n)
      .read(BASE, 8);

  it("the guest's tables stand beside the hypervisor's, and a stale entry beside a page out of sync", () => {
    expect(text(last("shadow", { tables }, stored))).toBe(
      `the guest's               shadow                    shadow page
  PML4E  0x2067       P RW US A    0x101027     P RW US A    in sync, pages below it out of sync
  PDPTE  0x3067       P RW US A    0x102027     P RW US A    in sync, pages below it out of sync
  PDE    0x4067       P RW US A    0x103027     P RW US A    in sync, pages below it out of sync
  PTE    0x20067      P RW US A D  0x100005667  P RW US A D  out of sync

L1D TLB: hit (4k page, RWX user dirty)
translated: 0x400000 -> 0x10000 -> 0x100005000; page 4k; user, writable, executable, dirty`,
    );
  });

  it("a fault that exits says what the guest's own tables say", () => {
    const machine = machineOf("shadow", PLAIN);
    machine.feed(boot({ tables: picky }).read(BASE, 8).take());
    const hidden = machine.explain(BigInt(BASE + 0x6000));
    expect(hidden.accesses[0]!.outcome.text).toBe(
      "page fault, error code 0x4 (U/S): shadow PTE is not present, which exits: the guest's own tables allow it",
    );
    const real = machine.explain(BigInt(BASE + 0x6000), { kind: "write" });
    expect(real.accesses[0]!.outcome.text).toBe(
      "page fault, error code 0x6 (W/R, U/S): shadow PTE is not present, which exits: the guest's own tables refuse it too (read-only)",
    );
  });

  it("a record that is no access shows its exit", () => {
    expect(text(last("shadow", { tables }, (e) => e.read(BASE, 8).cr3(0x1000)))).toBe(
      "exit write_cr3: 1,539 cycles",
    );
  });
});
