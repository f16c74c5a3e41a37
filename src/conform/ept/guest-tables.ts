import { isMisconfigured, isPresent, tableQualification } from "../second-stage/ept-oracle.js";
import { ACCESSES, type Checks, show } from "../second-stage/world.js";
import { hex, PLAIN, RIGHTS, rightsBits, world } from "./world.js";

/** EPT rights of the page that holds a guest entry, against the entry's own accessed and dirty flags. */
export function guestTables(checks: Checks, levels: 4 | 5): void {
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
