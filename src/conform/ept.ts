import { UsageError } from "../cli/io.js";
import type { Ept } from "./bare/types.js";
import {
  allows,
  type Capabilities,
  finalQualification,
  type GuestPage,
  isIgnored,
  isMisconfigured,
  isPresent,
  isReserved,
  tableQualification,
} from "./second-stage/ept-oracle.js";
import { ACCESSES, Checks, FETCH, READ, type Shape, show, World, WRITE } from "./second-stage/world.js";

const usage = `npm run conform -- ept

The EPT access tables of kvm-unit-tests (x86/vmx_tests.c), over 4 and 5 levels: rights and misconfigurations at each
level and leaf size, reserved and ignored bits, rights of the guest's own table pages against its accessed and dirty
flags, EPT's accessed and dirty flags, the order of guest faults and exits, PDPTE loads, #VE and page-modification
logging. Each expectation is a function of the flags.
`;

const EPT: Ept = {
  kind: "ept",
  root: 0n,
  levels: 4,
  maxphyaddr: 46,
  accessedDirty: false,
  executeOnly: true,
  mbec: false,
};
const RIGHTS = 0x407n;

function hex(n: bigint | number): string {
  return `0x${n.toString(16)}`;
}

function rightsBits(rights: number): bigint {
  return BigInt(rights & 7) | (rights & 8 ? 0x400n : 0n);
}

export async function conformEpt(args: readonly string[], write: (text: string) => void): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    write(usage);
    return 0;
  }
  if (args.length > 0) throw new UsageError(`ept takes no arguments\n${usage}`);
  const checks = new Checks();
  for (const levels of [4, 5] as const) {
    rights(checks, levels);
    reservedBits(checks, levels);
    ignoredBits(checks, levels);
    guestTables(checks, levels);
    flags(checks, levels);
  }
  order(checks);
  pdpteLoads(checks);
  exceptions(checks);
  logging(checks);
  return checks.report(write);
}

/** Levels that an entry of the data path can lie at, with the level of its leaf. */
function placements(levels: number): { level: number; leaf: number }[] {
  const out = [];
  for (const leaf of [1, 2, 3]) for (let level = leaf; level <= levels; ++level) out.push({ level, leaf });
  return out;
}

function rights(checks: Checks, levels: 4 | 5): void {
  for (const mbec of [false, true]) {
    for (const executeOnly of [false, true]) {
      for (const advanced of [false, true]) {
        const cap: Capabilities = { executeOnly, mbec, advanced };
        for (const { level, leaf } of placements(levels)) {
          const shape: Shape = { dataLeaf: leaf };
          for (let r = 0; r < (mbec ? 16 : 8); ++r) {
            for (const access of ACCESSES) {
              for (const page of guestPages(access.kind)) {
                const stage2: Ept = { ...EPT, levels, executeOnly, mbec, advancedInformation: advanced };
                const w = new World(stage2, shape);
                w.edit(
                  w.guestEntry(1),
                  (e) =>
                    ((page.user ? e : e & ~4n) & (page.write ? ~0n : ~2n)) |
                    (page.noExecute ? 1n << 63n : 0n),
                );
                w.edit(w.hostEntry(0, level), (e) => (e & ~RIGHTS) | rightsBits(r));
                const who = { ...access, user: page.user };
                checks.check(
                  "rights",
                  `${levels} levels, ${access.kind}, rights ${r} at level ${level} above a level-${leaf} leaf, ${JSON.stringify({ ...cap, ...page })}`,
                  show(w.access(who)),
                  finalOutcome(w, r, access.kind, page, cap),
                );
              }
            }
          }
        }
      }
    }
  }
}

/** Guest pages that allow the access: user and supervisor, and what the advanced information shows of them. */
function guestPages(kind: "read" | "write" | "fetch"): GuestPage[] {
  const out = [];
  for (const user of [false, true]) {
    for (const write of kind === "write" ? [true] : [false, true]) {
      for (const noExecute of kind === "fetch" ? [false] : [false, true])
        out.push({ user, write, noExecute });
    }
  }
  return out;
}

function finalOutcome(
  w: World,
  r: number,
  kind: "read" | "write" | "fetch",
  page: GuestPage,
  cap: Capabilities,
): string {
  const gpa = w.gpaOf(0);
  if (isMisconfigured(r, cap)) return `misconfiguration of ${hex(gpa)}`;
  const effective = isPresent(r, cap.mbec) ? r : 0;
  if (allows(effective, kind, page, cap.mbec)) return `ok ${hex(w.hpaOf(0))}`;
  const q = finalQualification(kind, effective, page, cap);
  return `violation ${hex(q)} of ${hex(gpa)} for ${hex(w.gva)}`;
}

const SUPERVISOR: GuestPage = { user: false, write: true, noExecute: false };
const PLAIN: Capabilities = { executeOnly: true, mbec: false, advanced: false };

function reservedBits(checks: Checks, levels: 4 | 5): void {
  for (const width of [36, 46, 52]) {
    for (const { level, leaf } of placements(levels)) {
      const isLeaf = level === leaf;
      for (let bit = 3; bit < 52; ++bit) {
        /* In a leaf, bits 5:3 are the memory type, checked below. */
        if (!isReserved(bit, level, isLeaf, width)) continue;
        for (const present of [true, false]) {
          for (const access of ACCESSES) {
            const w = world({ levels, maxphyaddr: width }, { dataLeaf: leaf });
            w.edit(w.hostEntry(0, level), (e) => (present ? e : e & ~7n) | (1n << BigInt(bit)));
            const expected = present
              ? `misconfiguration of ${hex(w.gpaOf(0))}`
              : finalOutcome(w, 0, access.kind, SUPERVISOR, PLAIN);
            checks.check(
              "reserved bits",
              `${levels} levels, width ${width}, bit ${bit} at level ${level} above a level-${leaf} leaf, ${present ? "" : "not "}present, ${access.kind}`,
              show(w.access(access)),
              expected,
            );
          }
        }
      }
    }
  }
  for (const leaf of [1, 2, 3]) {
    for (let type = 0; type < 8; ++type) {
      for (const access of ACCESSES) {
        const w = world({ levels }, { dataLeaf: leaf });
        w.edit(w.hostEntry(0, leaf), (e) => (e & ~0x38n) | BigInt(type << 3));
        const bad = type === 2 || type === 3 || type === 7;
        checks.check(
          "memory types",
          `${levels} levels, type ${type} at level ${leaf}, ${access.kind}`,
          show(w.access(access)),
          bad ? `misconfiguration of ${hex(w.gpaOf(0))}` : `ok ${hex(w.hpaOf(0))}`,
        );
      }
    }
  }
}

/** A world whose guest page is a supervisor's. */
function world(ept: Partial<Ept>, shape: Shape = {}, more = {}): World {
  const w = new World({ ...EPT, ...ept }, shape, more);
  w.edit(w.guestEntry(1), (e) => e & ~4n);
  return w;
}

function ignoredBits(checks: Checks, levels: 4 | 5): void {
  for (const mbec of [false, true]) {
    for (const { level, leaf } of placements(levels)) {
      for (let bit = 6; bit < 64; ++bit) {
        if (!isIgnored(bit, level, level === leaf, mbec)) continue;
        for (const set of [true, false]) {
          for (const access of ACCESSES) {
            const w = world({ levels, mbec }, { dataLeaf: leaf });
            const mask = 1n << BigInt(bit);
            w.edit(w.hostEntry(0, level), (e) => (set ? e | mask : e & ~mask));
            const before = w.host(0, level);
            checks.check(
              "ignored bits",
              `${levels} levels, bit ${bit} ${set ? "set" : "clear"} at level ${level}, ${access.kind}`,
              `${show(w.access(access))} ${hex(w.host(0, level))}`,
              `ok ${hex(w.hpaOf(0))} ${hex(before)}`,
            );
          }
        }
      }
    }
  }
}

/** EPT rights of the page that holds a guest entry, against the entry's own accessed and dirty flags. */
function guestTables(checks: Checks, levels: 4 | 5): void {
  for (const mbec of [false, true]) {
    for (const accessedDirty of [false, true]) {
      for (const guestLevel of [1, 2, 3, 4]) {
        for (const hostLevel of [1, 2, levels]) {
          for (let r = 0; r < (mbec ? 16 : 8); ++r) {
            for (const state of [0x00n, 0x20n, 0x60n]) {
              for (const access of ACCESSES) {
                const cap = { ...PLAIN, mbec };
                const w = world({ levels, mbec, accessedDirty });
                w.edit(w.guestEntry(guestLevel), (e) => (e & ~0x60n) | state);
                w.edit(w.hostEntry(guestLevel, hostLevel), (e) => (e & ~RIGHTS) | rightsBits(r));
                const outcome = w.access(access);
                const gpa = w.gpaOf(guestLevel);
                let expected = `ok ${hex(w.hpaOf(0))}`;
                const needed = guestLevel === 1 && access.kind === "write" ? 0x60n : 0x20n;
                const violation = (readAndWrite: boolean, rights: number) =>
                  `violation ${hex(tableQualification(readAndWrite, rights, mbec))} of ${hex(gpa)} for ${hex(w.gva)}`;
                if (isMisconfigured(r, cap)) expected = `misconfiguration of ${hex(gpa)}`;
                else if (!isPresent(r, mbec)) expected = violation(accessedDirty, 0);
                else if (accessedDirty ? !(r & 2) : !(r & 1)) expected = violation(accessedDirty, r);
                else if (!(r & 2) && (state & needed) !== needed) expected = violation(true, r);
                checks.check(
                  "guest tables",
                  `${levels} levels, A/D ${accessedDirty}, mbec ${mbec}, rights ${r} at level ${hostLevel} of the level-${guestLevel} table's page, guest flags ${hex(state)}, ${access.kind}`,
                  show(outcome),
                  expected,
                );
                if (outcome.ok && accessedDirty) {
                  const found = Array.from(
                    { length: levels },
                    (_, i) => w.host(guestLevel, i + 1) & 0x300n,
                  ).join();
                  const wanted = Array.from({ length: levels }, (_, i) => (i === 0 ? 0x300n : 0x100n)).join();
                  checks.check(
                    "flags of table pages",
                    `${levels} levels, level-${guestLevel} table, ${access.kind}`,
                    found,
                    wanted,
                  );
                }
              }
            }
          }
        }
      }
    }
  }
}

/** EPT's own flags for the data page: A at every level, D in the leaf on writes, none on a refusal. */
function flags(checks: Checks, levels: 4 | 5): void {
  for (const accessedDirty of [false, true]) {
    for (const leaf of [1, 2, 3]) {
      for (const access of ACCESSES) {
        for (const before of [0n, 0x100n, 0x300n]) {
          for (const r of [7, 0, 1, 5, 2]) {
            const w = world({ levels, accessedDirty }, { dataLeaf: leaf });
            w.edit(w.hostEntry(0, leaf), (e) => (e & ~RIGHTS) | rightsBits(r) | before);
            const outcome = w.access(access);
            const found: string[] = [];
            const wanted: string[] = [];
            for (let level = leaf; level <= levels; ++level) {
              const was = level === leaf ? before : 0n;
              const set =
                !outcome.ok || !accessedDirty
                  ? 0n
                  : level === leaf && access.kind === "write"
                    ? 0x300n
                    : 0x100n;
              found.push(hex(w.host(0, level) & 0x300n));
              wanted.push(hex(was | set));
            }
            checks.check(
              "accessed and dirty flags",
              `${levels} levels, A/D ${accessedDirty}, level-${leaf} leaf, rights ${r}, ${access.kind}`,
              `${show(outcome)} ${found}`,
              `${finalOutcome(w, r, access.kind, SUPERVISOR, PLAIN)} ${wanted}`,
            );
          }
        }
      }
    }
  }
}

/** Who is first: guest faults before EPT's on the final address; a lower misconfiguration before upper rights. */
function order(checks: Checks): void {
  const guest: [name: string, change: (e: bigint) => bigint, code: number][] = [
    ["not present", (e) => e & ~1n, 0],
    ["reserved", (e) => e | (1n << 51n), 9],
    ["read-only", (e) => e & ~2n, 1],
    ["no-execute", (e) => e | (1n << 63n), 1],
  ];
  for (const [name, change, code] of guest) {
    for (const level of [1, 2, 3, 4]) {
      for (const final of [0, 2, 1]) {
        for (const access of ACCESSES) {
          const w = world({}, { regs: { maxphyaddr: 46 } });
          w.edit(w.guestEntry(level), change);
          w.edit(w.hostEntry(0, 1), (e) => (e & ~RIGHTS) | rightsBits(final));
          const bits = access.kind === "write" ? 2 : access.kind === "fetch" ? 16 : 0;
          const faults =
            name === "read-only" ? access === WRITE : name === "no-execute" ? access === FETCH : true;
          const expected = faults
            ? `#PF(${hex(code | bits)}) ${hex(w.gva)}`
            : finalOutcome(w, final, access.kind, SUPERVISOR, PLAIN);
          checks.check(
            "guest faults first",
            `${name} at guest level ${level}, EPT rights ${final}, ${access.kind}`,
            show(w.access(access)),
            expected,
          );
          /* A table whose own page EPT refuses is met before its entry is. */
          const t = world({}, { regs: { maxphyaddr: 46 } });
          t.edit(t.guestEntry(level), change);
          t.edit(t.hostEntry(level, 1), (e) => e & ~RIGHTS);
          checks.check(
            "table pages before their entries",
            `${name} at guest level ${level}, ${access.kind}`,
            show(t.access(access)),
            `violation 0x81 of ${hex(t.gpaOf(level))} for ${hex(t.gva)}`,
          );
        }
      }
    }
  }
  for (const upper of [2, 3, 4]) {
    for (let lower = 1; lower < upper; ++lower) {
      for (const access of ACCESSES) {
        const w = world({});
        w.edit(w.hostEntry(0, upper), (e) => (e & ~RIGHTS) | 1n);
        w.edit(w.hostEntry(0, lower), (e) => (e & ~RIGHTS) | 2n);
        checks.check(
          "misconfiguration before rights",
          `rights R at level ${upper}, W alone at level ${lower}, ${access.kind}`,
          show(w.access(access)),
          `misconfiguration of ${hex(w.gpaOf(0))}`,
        );
        const v = world({});
        v.edit(v.hostEntry(0, upper), (e) => (e & ~RIGHTS) | 5n);
        v.edit(v.hostEntry(0, lower), (e) => (e & ~RIGHTS) | 3n);
        checks.check(
          "rights of all levels",
          `RX at level ${upper}, RW at level ${lower}, ${access.kind}`,
          show(v.access(access)),
          finalOutcome(v, 1, access.kind, SUPERVISOR, PLAIN),
        );
      }
    }
  }
  for (const levels of [4, 5] as const) {
    for (const bit of levels === 4 ? [47n, 48n, 51n] : [47n, 51n]) {
      const w = world({ levels, maxphyaddr: 52 });
      /* Below the bit, an address that is mapped: the bit must not be lost. */
      const gpa = (1n << bit) | w.pageOf(0);
      w.edit(w.guestEntry(1), (e) => (e & 0xfffn) | gpa);
      checks.check(
        "beyond the tables' span",
        `${levels} levels, bit ${bit}`,
        show(w.access(READ)),
        `violation 0x181 of ${hex(gpa | (w.gva & 0xfffn))} for ${hex(w.gva)}`,
      );
    }
  }
  for (const advanced of [false, true]) {
    for (const access of ACCESSES) {
      /* With paging off the linear address is the guest-physical one: user-mode, writable and executable. */
      const w = world({ advancedInformation: advanced }, { regs: { cr0: 1n, cr4: 0n, efer: 0n } });
      const outcome = w.mmu.walk(0x1234n, access);
      const q = { read: 1, write: 2, fetch: 4 }[access.kind] | 0x180 | (advanced ? 0x600 : 0);
      checks.check(
        "paging off",
        `${access.kind}, advanced ${advanced}`,
        show(outcome),
        `violation ${hex(q)} of 0x1234 for 0x1234`,
      );
    }
  }
}

/** PDPTE loads by MOV CR3: reads without a linear address, whatever the A/D setting. */
function pdpteLoads(checks: Checks): void {
  for (const accessedDirty of [false, true]) {
    for (let r = 0; r < 8; ++r) {
      const w = new World(
        { ...EPT, accessedDirty },
        { regs: { cr4: 0x20n, efer: 0n, cr0: 0x8000_0001n, codeLong: false } },
      );
      /* The first GiB, of which no page of the world is, as one host page. */
      const table = 0x6000_0000n;
      const pdpt = 0x3000_0020n;
      w.mmu.write(w.hostEntry(0, 4) & ~0xfffn, table | 7n);
      w.mmu.write(table, 0xb0n | rightsBits(r));
      const ended = w.mmu.load("cr3", pdpt);
      const found =
        typeof ended === "string"
          ? ended
          : ended.exit === "EPT_VIOLATION"
            ? `violation ${hex(ended.qualification)} of ${hex(ended.gpa)}`
            : `misconfiguration of ${hex((ended as { gpa: bigint }).gpa)}`;
      const expected = isMisconfigured(r, PLAIN)
        ? `misconfiguration of ${hex(pdpt)}`
        : r & 1
          ? "ok"
          : `violation ${hex(1 | (r << 3))} of ${hex(pdpt)}`;
      const flagged = w.mmu.read(table) & 0x300n;
      checks.check(
        "PDPTE loads",
        `rights ${r}, A/D ${accessedDirty}`,
        `${found} ${hex(flagged)}`,
        `${expected} ${hex(accessedDirty && expected === "ok" ? 0x100n : 0n)}`,
      );
    }
  }
}

/** #VE in place of the exit: convertible violations only. SDM 3C 25.5.7. */
function exceptions(checks: Checks): void {
  const area = 0xb000_0000n;
  for (const on of [true, false]) {
    for (const suppress of [true, false]) {
      for (const busy of [false, true]) {
        for (const at of ["leaf", "upper", "table", "flags", "rights", "misconfiguration"] as const) {
          for (const access of ACCESSES) {
            const w = world({});
            w.mmu.setVirtualization(on ? { veArea: area, eptpIndex: 7 } : {});
            w.mmu.write(area + 4n, busy ? 1n : 0n, 4);
            const bit = suppress ? 1n << 63n : 0n;
            const drop = (e: bigint) => (e & ~RIGHTS) | bit;
            let qualification = finalQualification(access.kind, 0, SUPERVISOR, PLAIN);
            let gpa = w.gpaOf(0);
            if (at === "leaf") w.edit(w.hostEntry(0, 1), drop);
            else if (at === "upper") w.edit(w.hostEntry(0, 3), drop);
            else if (at === "table" || at === "flags") {
              gpa = w.gpaOf(1);
              w.edit(w.hostEntry(1, 1), at === "table" ? drop : (e) => (e & ~2n) | bit);
              w.edit(w.guestEntry(1), (e) => e & ~0x60n);
              qualification = at === "table" ? 0x81 : tableQualification(true, 5, false);
            } else if (at === "rights") {
              w.edit(w.hostEntry(0, 2), (e) => (e & ~7n) | 4n);
              /* Executable only: what stops a read or a write is the whole walk, and the leaf decides about #VE. */
              w.edit(w.hostEntry(0, 1), (e) => e | bit);
              qualification = finalQualification(access.kind, 4, SUPERVISOR, PLAIN);
            } else w.edit(w.hostEntry(0, 1), (e) => (e & ~RIGHTS) | 2n | bit);
            const outcome = w.access(access);
            let expected = `violation ${hex(qualification)} of ${hex(gpa)} for ${hex(w.gva)}`;
            const allowed = at === "rights" && access.kind === "fetch";
            if (at === "misconfiguration") expected = `misconfiguration of ${hex(gpa)}`;
            else if (allowed) expected = `ok ${hex(w.hpaOf(0))}`;
            else if (on && !suppress && !busy) expected = "#VE";
            checks.check(
              "#VE",
              `${on ? "on" : "off"}, suppressed ${suppress}, busy ${busy}, ${at}, ${access.kind}`,
              show(outcome),
              expected,
            );
            if (expected !== "#VE") continue;
            const words = [0n, 4n, 8n, 16n, 24n, 32n].map((o) =>
              w.mmu.read(area + o, o === 0n || o === 4n || o === 32n ? 4 : 8),
            );
            checks.check(
              "#VE information",
              `${at}, ${access.kind}`,
              words.map(hex).join(),
              [48n, 0xffff_ffffn, BigInt(qualification), w.gva, gpa, 7n].map(hex).join(),
            );
          }
        }
      }
    }
  }
}

/** Page-modification logging. SDM 3C 29.3.6. */
function logging(checks: Checks): void {
  const base = 0xc000_0000n;
  for (const index of [511, 5, 0, 512, 0xffff]) {
    for (const access of ACCESSES) {
      for (const before of [0n, 0x100n, 0x300n]) {
        const w = world({ accessedDirty: true, pml: true });
        /* Every other entry has its flags: only the data page can be logged. */
        for (let level = 1; level <= 4; ++level) {
          for (let l = 1; l <= 4; ++l) w.edit(w.hostEntry(level, l), (e) => e | 0x300n);
        }
        for (let l = 2; l <= 4; ++l) w.edit(w.hostEntry(0, l), (e) => e | 0x100n);
        w.edit(w.hostEntry(0, 1), (e) => e | before);
        w.mmu.setVirtualization({ pmlBase: base, pmlIndex: index });
        const outcome = w.access(access);
        const wanted = access.kind === "write" ? 0x300n : 0x100n;
        const sets = (before & wanted) !== wanted;
        const dirties = access.kind === "write" && before !== 0x300n;
        const full = sets && index > 511;
        const logged = index <= 511 ? w.mmu.read(base + 8n * BigInt(index)) : 0n;
        checks.check(
          "page-modification log",
          `index ${index}, ${access.kind}, leaf flags ${hex(before)}`,
          `${show(outcome)} ${w.mmu.pmlIndex} ${hex(logged)} ${hex(w.host(0, 1) & 0x300n)}`,
          full
            ? `PML_FULL ${index} 0x0 ${hex(before)}`
            : `ok ${hex(w.hpaOf(0))} ${dirties ? (index - 1) & 0xffff : index} ${hex(dirties ? w.pageOf(0) : 0n)} ${hex(before | wanted)}`,
        );
      }
    }
  }
  /* Walking the guest's tables dirties their pages: one log entry each, from the root down, then the data page. */
  const w = world({ accessedDirty: true, pml: true });
  w.mmu.setVirtualization({ pmlBase: base, pmlIndex: 511 });
  w.access(WRITE);
  const log = [511n, 510n, 509n, 508n, 507n].map((i) => hex(w.mmu.read(base + 8n * i)));
  checks.check(
    "page-modification log",
    "a whole walk",
    `${log} ${w.mmu.pmlIndex}`,
    `${[4, 3, 2, 1, 0].map((l) => hex(w.pageOf(l)))} 506`,
  );
}
