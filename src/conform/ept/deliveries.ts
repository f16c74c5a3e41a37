import { finalQualification, isMisconfigured, tableQualification } from "../second-stage/ept-oracle.js";
import { ACCESSES, type Checks, show, World, WRITE } from "../second-stage/world.js";
import { EPT, hex, PLAIN, RIGHTS, rightsBits, SUPERVISOR, world } from "./world.js";

/** PDPTE loads by MOV CR3: reads without a linear address, whatever the A/D setting. */
export function pdpteLoads(checks: Checks): void {
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
export function exceptions(checks: Checks): void {
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
export function logging(checks: Checks): void {
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
