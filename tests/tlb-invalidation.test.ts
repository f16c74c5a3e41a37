import { describe, expect, it } from "vitest";
import { CR4, EFER, LONG, NO_FLUSH, USER_READ } from "./tlb/machine.js";
import { Spaces, VA } from "./tlb/spaces.js";

const ALL = "page other large global path";

/** Two PCIDs, the first current: what is left of both after `event`. */
function left(event: (s: Spaces) => void, options: { cr4?: bigint } = {}): Record<string, string> {
  const spaces = new Spaces([{ pcid: 1 }, { pcid: 2 }], options);
  event(spaces);
  return spaces.kept();
}

const BASE = LONG.cr4 | CR4.PCIDE;

describe("what an event removes, of the current PCID 1 and of PCID 2: all that must go, and no more", () => {
  const rows: [name: string, one: string, two: string, event: (s: Spaces) => void, cr4?: bigint][] = [
    ["nothing", ALL, ALL, () => {}],
    ["INVLPG", "other large global", ALL, ({ machine: { mmu } }) => mmu.invlpg(VA.page)],
    [
      "INVLPG at any byte of the page",
      "other large global",
      ALL,
      ({ machine: { mmu } }) => mmu.invlpg(VA.page + 0xabcn),
    ],
    [
      "INVLPG anywhere in a 2 MiB page",
      "page other global",
      ALL,
      ({ machine: { mmu } }) => mmu.invlpg(VA.large + 0x12_3456n),
    ],
    [
      "INVLPG of a global page",
      "page other large",
      "page other large path",
      ({ machine: { mmu } }) => mmu.invlpg(VA.global),
    ],
    [
      "INVLPG of what is not cached",
      "page other large global",
      ALL,
      ({ machine: { mmu } }) => mmu.invlpg(0x7000n),
    ],
    [
      "INVLPG of a non-canonical address",
      ALL,
      ALL,
      ({ machine: { mmu } }) => mmu.invlpg(VA.page | (1n << 50n)),
    ],
    [
      "INVPCID 0 of the other PCID",
      ALL,
      "other large global",
      ({ machine: { mmu } }) => mmu.invpcid(0, 2n, VA.page),
    ],
    [
      "INVPCID 0 of a global page",
      ALL,
      "page other large global",
      ({ machine: { mmu } }) => mmu.invpcid(0, 2n, VA.global),
    ],
    ["INVPCID 1 of the other PCID", ALL, "global", ({ machine: { mmu } }) => mmu.invpcid(1, 2n)],
    ["INVPCID 2", "", "", ({ machine: { mmu } }) => mmu.invpcid(2, 0n)],
    ["INVPCID 3", "global", "global", ({ machine: { mmu } }) => mmu.invpcid(3, 0n)],
    ["MOV CR3", "global", ALL, (s) => s.machine.mmu.load("cr3", s.cr3({ pcid: 1 }) & ~NO_FLUSH)],
    [
      "MOV CR3 to the other PCID",
      ALL,
      "global",
      (s) => s.machine.mmu.load("cr3", s.cr3({ pcid: 2 }) & ~NO_FLUSH),
    ],
    ["MOV CR3 with bit 63", ALL, ALL, (s) => s.machine.mmu.load("cr3", s.cr3({ pcid: 1 }))],
    [
      "CR4.PGE cleared and set",
      "",
      "",
      ({ machine: { mmu } }) => {
        mmu.load("cr4", BASE & ~CR4.PGE);
        mmu.load("cr4", BASE);
      },
    ],
    ["CR4.PGE set", "", "", ({ machine: { mmu } }) => mmu.load("cr4", BASE | CR4.PGE), BASE & ~CR4.PGE],
    [
      "CR4.PCIDE cleared",
      "",
      "",
      ({ machine: { mmu } }) => {
        const { cr3 } = mmu.state();
        mmu.load("cr4", BASE & ~CR4.PCIDE);
        mmu.load("cr3", cr3 & ~0xfffn);
        mmu.load("cr4", BASE);
      },
    ],
    ["CR4.SMEP set", "", "page other large path", ({ machine: { mmu } }) => mmu.load("cr4", BASE | CR4.SMEP)],
    ["CR4.SMEP cleared", ALL, ALL, ({ machine: { mmu } }) => mmu.load("cr4", BASE), BASE | CR4.SMEP],
    [
      "CR4.SMAP set and cleared",
      ALL,
      ALL,
      ({ machine: { mmu } }) => {
        mmu.load("cr4", BASE | CR4.SMAP);
        mmu.load("cr4", BASE);
      },
    ],
    [
      "CR4.PKE and CR4.PKS set",
      ALL,
      ALL,
      ({ machine: { mmu } }) => mmu.load("cr4", BASE | CR4.PKE | CR4.PKS),
    ],
    ["CR4.CET set", ALL, ALL, ({ machine: { mmu } }) => mmu.load("cr4", BASE | CR4.CET)],
    ["CR4.PSE set", ALL, ALL, ({ machine: { mmu } }) => mmu.load("cr4", BASE | CR4.PSE)],
    ["CR0.WP cleared", ALL, ALL, ({ machine: { mmu } }) => mmu.load("cr0", LONG.cr0 & ~(1n << 16n))],
    [
      "WRPKRU and WRMSR of IA32_PKRS",
      ALL,
      ALL,
      ({ machine: { mmu } }) => {
        mmu.load("pkru", 0xffff_fffcn);
        mmu.load("pkrs", 0xffff_fffcn);
      },
    ],
    [
      "EFER.NXE cleared, a right that is cached",
      "",
      "",
      ({ machine: { mmu } }) => mmu.load("efer", EFER.LME),
    ],
    ["an EFER without change", ALL, ALL, ({ machine: { mmu } }) => mmu.load("efer", EFER.LME | EFER.NXE)],
    [
      "#PF on the page",
      "other large global path",
      ALL,
      ({ machine }) => expect(machine.touch(VA.page, USER_READ)).toMatchObject({ fault: "PF" }),
    ],
    [
      "#PF on a global page",
      "page other large path",
      "page other large path",
      ({ machine }) => expect(machine.touch(VA.global, USER_READ)).toMatchObject({ fault: "PF" }),
    ],
    [
      "#PF in the region of a cached path",
      "page other large global",
      ALL,
      ({ machine }) => expect(machine.touch(VA.path, USER_READ)).toMatchObject({ fault: "PF" }),
    ],
    [
      "#GP on a non-canonical address",
      ALL,
      ALL,
      ({ machine }) => expect(machine.touch(VA.page | (1n << 50n))).toMatchObject({ fault: "GP" }),
    ],
  ];

  it.each(rows)("%s", (_, one, two, event, cr4) => {
    const expected = { "pcid 1": one, "pcid 2": two };
    expect(left(event, cr4 === undefined ? {} : { cr4 })).toEqual(expected);
  });

  it("MOV CR3 without PCIDs: everything but global pages", () => {
    const spaces = new Spaces([{ pcid: 0 }], { cr4: LONG.cr4 });
    spaces.machine.mmu.load("cr3", spaces.cr3({ pcid: 0 }));
    expect(spaces.kept()).toEqual({ "pcid 0": "global" });
  });

  it("CR4.PCIDE set: nothing", () => {
    const spaces = new Spaces([{ pcid: 0 }], { cr4: LONG.cr4 });
    expect(spaces.machine.mmu.load("cr4", BASE)).toBe("ok");
    expect(spaces.kept()).toEqual({ "pcid 0": ALL });
  });
});

describe("what an event removes under VPIDs and EPT: linear, combined and guest-physical mappings", () => {
  const A = { vpid: 1, eptp: "X", pcid: 1 } as const;
  const B = { vpid: 1, eptp: "X", pcid: 2 } as const;
  const C = { vpid: 2, eptp: "X", pcid: 1 } as const;
  const E = { vpid: 1, eptp: "Y", pcid: 1 } as const;

  type Left = [a: string, b: string, c: string, e: string, physical: string];
  const NOTHING: Left = [ALL, ALL, ALL, ALL, "X Y"];
  const rows: [name: string, left: Left, event: (s: Spaces) => void][] = [
    [
      "VM exit and entry with VPIDs",
      NOTHING,
      (s) => {
        s.machine.mmu.exit();
        s.enter(A);
      },
    ],
    [
      "INVLPG in the guest: the current VPID under every EPTRTA",
      ["other large global", ALL, ALL, "other large global", "X Y"],
      ({ machine: { mmu } }) => mmu.invlpg(VA.page),
    ],
    [
      "#PF in the guest: of the current VPID under every EPTRTA",
      ["other large global path", ALL, ALL, "other large global path", "X Y"],
      ({ machine }) => expect(machine.touch(VA.page, USER_READ)).toMatchObject({ fault: "PF" }),
    ],
    [
      "INVPCID 1 in the guest",
      ["global", ALL, ALL, "global", "X Y"],
      ({ machine: { mmu } }) => mmu.invpcid(1, 1n),
    ],
    [
      "INVPCID 2 in the guest: not another VPID's",
      ["", "", ALL, "", "X Y"],
      ({ machine: { mmu } }) => mmu.invpcid(2, 0n),
    ],
    [
      "MOV CR3 in the guest",
      ["global", ALL, ALL, "global", "X Y"],
      (s) => s.machine.mmu.load("cr3", s.cr3(A) & ~NO_FLUSH),
    ],
    [
      "CR4.PGE toggled in the guest",
      ["", "", ALL, "", "X Y"],
      ({ machine: { mmu } }) => {
        mmu.load("cr4", BASE & ~CR4.PGE);
        mmu.load("cr4", BASE);
      },
    ],
    [
      "INVVPID 0: the address under every PCID and EPTRTA",
      ["other large global path", "other large global path", ALL, "other large global path", "X Y"],
      ({ machine: { mmu } }) => mmu.invvpid(0, 1n, VA.page),
    ],
    [
      "INVVPID 0 of a global page",
      ["page other large path", "page other large path", ALL, "page other large path", "X Y"],
      ({ machine: { mmu } }) => mmu.invvpid(0, 1n, VA.global),
    ],
    [
      "INVVPID 0 in a cached path",
      ["page other large global", "page other large global", ALL, "page other large global", "X Y"],
      ({ machine: { mmu } }) => mmu.invvpid(0, 1n, VA.path),
    ],
    ["INVVPID 1", ["", "", ALL, "", "X Y"], ({ machine: { mmu } }) => mmu.invvpid(1, 1n)],
    ["INVVPID 1 of the other VPID", [ALL, ALL, "", ALL, "X Y"], ({ machine: { mmu } }) => mmu.invvpid(1, 2n)],
    ["INVVPID 2", ["", "", "", "", "X Y"], ({ machine: { mmu } }) => mmu.invvpid(2, 0n)],
    ["INVVPID 3", ["global", "global", ALL, "global", "X Y"], ({ machine: { mmu } }) => mmu.invvpid(3, 1n)],
    [
      "INVEPT 1: every VPID of the EPTRTA",
      ["", "", "", ALL, "Y"],
      (s) => s.machine.mmu.invept(1, s.eptps.get("X")!),
    ],
    [
      "INVEPT 1 of the other EPTRTA",
      [ALL, ALL, ALL, "", "X"],
      (s) => s.machine.mmu.invept(1, s.eptps.get("Y")!),
    ],
    ["INVEPT 2", ["", "", "", "", ""], ({ machine: { mmu } }) => mmu.invept(2, 0n)],
    [
      "INVLPGA: the address under the ASID",
      ["other large global path", "other large global path", ALL, "other large global path", "X Y"],
      ({ machine: { mmu } }) => mmu.invlpga(VA.page, 1),
    ],
    ["TLB_CONTROL 0", NOTHING, ({ machine: { mmu } }) => mmu.tlbControl(0)],
    ["TLB_CONTROL 1", ["", "", "", "", ""], ({ machine: { mmu } }) => mmu.tlbControl(1)],
    ["TLB_CONTROL 3", ["", "", ALL, "", "X Y"], ({ machine: { mmu } }) => mmu.tlbControl(3)],
    [
      "TLB_CONTROL 7",
      ["global", "global", ALL, "global", "X Y"],
      ({ machine: { mmu } }) => mmu.tlbControl(7),
    ],
  ];

  it.each(rows)("%s", (_, [a, b, c, e, physical], event) => {
    const spaces = new Spaces([A, B, C, E]);
    event(spaces);
    expect(spaces.kept()).toEqual({
      "vpid 1 ept X pcid 1": a,
      "vpid 1 ept X pcid 2": b,
      "vpid 2 ept X pcid 1": c,
      "vpid 1 ept Y pcid 1": e,
      "guest-physical": physical,
    });
  });

  it("VPID off: an exit and an entry each drop linear and combined mappings, and no guest-physical one", () => {
    for (const event of ["exit", "entry"] as const) {
      const spaces = new Spaces([{ eptp: "X", pcid: 1 }], { vpid: 0 });
      const { mmu } = spaces.machine;
      spaces.machine.touch(VA.page);
      expect(spaces.machine.touch(VA.page)).toMatchObject({ references: 0 });
      if (event === "exit") mmu.exit();
      else spaces.enter({ eptp: "X", pcid: 1 });
      expect(spaces.machine.touch(VA.page)).not.toMatchObject({ references: 0 });
      expect(spaces.kept()["guest-physical"]).toBe("X");
    }
  });

  it("INVVPID 2 spares VPID 0", () => {
    const spaces = new Spaces([{ eptp: "X", pcid: 1 }], { vpid: 0 });
    spaces.machine.touch(VA.page);
    spaces.machine.mmu.invvpid(2, 0n);
    expect(spaces.machine.touch(VA.page)).toMatchObject({ references: 0 });
  });

  it("natively, INVEPT takes no linear mapping", () => {
    const spaces = new Spaces([{ pcid: 1 }]);
    spaces.machine.mmu.invept(2, 0n);
    expect(spaces.kept()).toEqual({ "pcid 1": ALL });
  });
});
