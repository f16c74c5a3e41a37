import { ACCESSES, type Checks, FETCH, READ, show, WRITE } from "../second-stage/world.js";
import { finalOutcome, hex, PLAIN, RIGHTS, rightsBits, SUPERVISOR, world } from "./world.js";

/** Who is first: guest faults before EPT's on the final address; a lower misconfiguration before upper rights. */
export function order(checks: Checks): void {
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
