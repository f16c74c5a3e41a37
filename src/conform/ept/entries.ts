import { isIgnored, isReserved } from "../second-stage/ept-oracle.js";
import { ACCESSES, type Checks, show } from "../second-stage/world.js";
import { finalOutcome, hex, PLAIN, placements, RIGHTS, rightsBits, SUPERVISOR, world } from "./world.js";

export function reservedBits(checks: Checks, levels: 4 | 5): void {
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

export function ignoredBits(checks: Checks, levels: 4 | 5): void {
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

/** EPT's own flags for the data page: A at every level, D in the leaf on writes, none on a refusal. */
export function flags(checks: Checks, levels: 4 | 5): void {
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
