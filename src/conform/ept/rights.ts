import type { Ept } from "../bare/types.js";
import type { Capabilities, GuestPage } from "../second-stage/ept-oracle.js";
import { ACCESSES, type Checks, type Shape, show, World } from "../second-stage/world.js";
import { EPT, finalOutcome, placements, RIGHTS, rightsBits } from "./world.js";

export function rights(checks: Checks, levels: 4 | 5): void {
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
