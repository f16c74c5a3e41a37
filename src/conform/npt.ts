import { UsageError } from "../cli/io.js";
import type { Npt } from "./bare/types.js";
import { ACCESSES, Checks, show, World } from "./second-stage/world.js";

const usage = `npm run conform -- npt

EXITINFO1 and EXITINFO2 of nested page faults, after kvm-unit-tests (x86/svm_npt.c): one defect at each level of the
nested path of the data page and of each of the guest's table pages, over nested tables of 3, 4 and 5 levels, with
every combination of the host's and the guest's EFER.NXE and CR4.SMEP. Each expectation is a function of the flags.
`;

const P = 1;
const W = 2;
const U = 4;
const RSVD = 8;
const ID = 16;
const FINAL = 1n << 32n;
const TABLE = 1n << 33n;

type Defect = "none" | "not present" | "read-only" | "supervisor" | "no-execute" | "reserved";
const DEFECTS: Defect[] = ["none", "not present", "read-only", "supervisor", "no-execute", "reserved"];

const CHANGE: Record<Defect, (entry: bigint) => bigint> = {
  none: (e) => e,
  "not present": (e) => e & ~1n,
  "read-only": (e) => e & ~2n,
  supervisor: (e) => e & ~4n,
  "no-execute": (e) => e | (1n << 63n),
  reserved: (e) => e | (1n << 51n),
};

interface Flags {
  hostNx: boolean;
  hostSmep: boolean;
}

/** EXITINFO1's low bits for a defect met by an access, or undefined when it passes. APM 2 15.25.6. */
export function exitInfo(
  defect: Defect,
  kind: "read" | "write" | "fetch",
  { hostNx, hostSmep }: Flags,
): number | undefined {
  const access = U | (kind === "write" ? W : 0) | (kind === "fetch" && (hostNx || hostSmep) ? ID : 0);
  switch (defect) {
    case "none":
      return undefined;
    case "not present":
      return access;
    case "reserved":
      return access | P | RSVD;
    case "read-only":
      return kind === "write" ? access | P : undefined;
    case "supervisor":
      return access | P;
    case "no-execute":
      if (!hostNx) return access | P | RSVD;
      return kind === "fetch" ? access | P : undefined;
  }
}

function hex(n: bigint): string {
  return `0x${n.toString(16)}`;
}

export async function conformNpt(args: readonly string[], write: (text: string) => void): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    write(usage);
    return 0;
  }
  if (args.length > 0) throw new UsageError(`npt takes no arguments\n${usage}`);
  const checks = new Checks();
  const booleans = [false, true];
  for (const levels of [3, 4, 5] as const) {
    for (const hostNx of booleans) {
      for (const hostSmep of booleans) {
        for (const guestNx of booleans) {
          for (const guestSmep of booleans) defects(checks, levels, { hostNx, hostSmep }, guestNx, guestSmep);
        }
      }
    }
    accessedDirty(checks, levels);
    beyond(checks, levels);
  }
  return checks.report(write);
}

function nptOf(levels: 3 | 4 | 5, { hostNx, hostSmep }: Flags): Npt {
  const hostEfer = 0x500n | (hostNx ? 0x800n : 0n);
  const hostCr4 = 0x20n | (levels === 5 ? 0x1000n : 0n) | (hostSmep ? 1n << 20n : 0n);
  return { kind: "npt", root: 0n, levels, maxphyaddr: 46, hostEfer, hostCr4 };
}

function defects(
  checks: Checks,
  levels: 3 | 4 | 5,
  flags: Flags,
  guestNx: boolean,
  guestSmep: boolean,
): void {
  const regs = { efer: 0x500n | (guestNx ? 0x800n : 0n), cr4: 0x20n | (guestSmep ? 1n << 20n : 0n) };
  /* A level-3 entry of a PAE host has no rights, and all the table pages lie behind one. */
  const top = levels === 3 ? 2 : levels;
  for (const guestLevel of [0, 1, 2, 3, 4]) {
    for (const leaf of levels === 3 ? [1, 2] : [1, 2, 3]) {
      /* Below a PAE host's level-3 entry the table pages share tables of 2 MiB. */
      if (levels === 3 && guestLevel !== 0 && leaf !== 1) continue;
      for (let level = leaf; level <= top; ++level) {
        if (levels === 3 && guestLevel !== 0 && level !== 1) continue;
        for (const defect of DEFECTS) {
          for (const access of ACCESSES) {
            const w = new World(nptOf(levels, flags), {
              regs,
              ...(guestLevel === 0 ? { dataLeaf: leaf } : { tableLeaf: leaf }),
            });
            /* The guest's page is a supervisor's, so that its SMEP has no say. */
            w.edit(w.guestEntry(1), (e) => e & ~4n);
            w.edit(w.hostEntry(guestLevel, level), CHANGE[defect]);
            /* Whatever the access, the guest's tables are written in the nested dimension. */
            const kind = guestLevel === 0 ? access.kind : "write";
            const info = exitInfo(defect, kind, flags);
            const expected =
              info === undefined
                ? `ok ${hex(w.hpaOf(0))}`
                : `NPF ${hex(BigInt(info) | (guestLevel === 0 ? FINAL : TABLE))} of ${hex(w.gpaOf(guestLevel))}`;
            checks.check(
              guestLevel === 0 ? "final page" : "guest table pages",
              `${levels} levels, ${defect} at level ${level} above a level-${leaf} leaf for guest level ${guestLevel}, ${access.kind}, ${JSON.stringify({ ...flags, guestNx, guestSmep })}`,
              show(w.access(access)),
              expected,
            );
          }
        }
      }
    }
  }
}

/** A at every level and D in the leaf for writes; every table page's leaf is dirtied; nothing where it is refused. */
function accessedDirty(checks: Checks, levels: 3 | 4 | 5): void {
  const flags = { hostNx: true, hostSmep: false };
  const top = levels === 3 ? 2 : levels;
  for (const defect of DEFECTS) {
    for (const access of ACCESSES) {
      const w = new World(nptOf(levels, flags));
      w.edit(w.guestEntry(1), (e) => e & ~4n);
      w.edit(w.hostEntry(0, 1), CHANGE[defect]);
      const refused = exitInfo(defect, access.kind, flags) !== undefined;
      w.access(access);
      const path = (guestLevel: number) =>
        Array.from({ length: top }, (_, i) => w.host(guestLevel, i + 1) & 0x60n).join();
      const data = Array.from({ length: top }, (_, i) => {
        if (refused) return 0n;
        return i === 0 && access.kind === "write" ? 0x60n : 0x20n;
      });
      /* The PAE host's data page shares no level-2 table with the others. */
      checks.check(
        "accessed and dirty flags",
        `${levels} levels, ${defect}, ${access.kind}`,
        path(0),
        data.join(),
      );
      for (const guestLevel of [1, 2, 3, 4]) {
        const table = Array.from({ length: top }, (_, i) => (i === 0 ? 0x60n : 0x20n));
        checks.check(
          "flags of table pages",
          `${levels} levels, guest level ${guestLevel}, ${access.kind}`,
          path(guestLevel),
          table.join(),
        );
      }
    }
  }
}

/** Addresses that nested tables of so few levels cannot name are not present, whatever their low bits would find. */
function beyond(checks: Checks, levels: 3 | 4 | 5): void {
  if (levels === 5) return;
  for (const bit of levels === 3 ? [32n, 40n] : [48n, 51n]) {
    for (const access of ACCESSES) {
      const flags = { hostNx: true, hostSmep: false };
      const w = new World(nptOf(levels, flags));
      const gpa = (1n << bit) | w.pageOf(0);
      w.edit(w.guestEntry(1), () => gpa | 0x63n);
      const info = BigInt(exitInfo("not present", access.kind, flags)!) | FINAL;
      checks.check(
        "beyond the tables' span",
        `${levels} levels, bit ${bit}`,
        show(w.access(access)),
        `NPF ${hex(info)} of ${hex(gpa | (w.gva & 0xfffn))}`,
      );
    }
  }
}
