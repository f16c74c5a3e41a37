import { Core } from "../../src/core.js";
import { Parameter } from "../../src/generated/declarations.js";
import type { Access, Outcome, Registers, Stage2 } from "../reference/walker.js";

/** Parameters by name; what is left out is 0. */
export type Parameters = Partial<Record<keyof typeof Parameter, number>>;

/** Bits of an access (assembly/x86/access.ts). */
export function accessBits(access: Access): number {
  const kind = { read: 0, write: 1, fetch: 2 }[access.kind];
  return kind | (access.user ? 4 : 0) | (access.implicit ? 8 : 0) | (access.shadowStack ? 16 : 0);
}

/** The parameters that describe the stages of `regs` and `stage2`. */
export function parametersOf(regs: Registers, stage2: Stage2, more: Parameters = {}): Parameters {
  const base: Parameters = {
    guestAddressBits: regs.maxphyaddr,
    vendor: regs.vendor === "amd" ? 1 : 0,
    guestPage1g: (regs.gbPages ?? true) ? 1 : 0,
    hostPageShift: 12,
    vpid: 1,
    hostLevels: 4,
    hostAddressBits: 46,
  };
  if (stage2.kind === "none") return { ...base, technique: 0, ...more };
  base.technique = 1;
  base.hostLevels = stage2.levels;
  base.hostAddressBits = stage2.maxphyaddr;
  if (stage2.kind === "npt") {
    return { ...base, hostFormat: 1, hostNoExecute: (stage2.hostEfer >> 11n) & 1n ? 1 : 0, ...more };
  }
  return {
    ...base,
    eptAccessedDirty: stage2.accessedDirty ? 1 : 0,
    eptExecuteOnly: stage2.executeOnly ? 1 : 0,
    eptModeBasedExecute: stage2.mbec ? 1 : 0,
    eptAdvancedInfo: stage2.advancedInformation ? 1 : 0,
    ...more,
  };
}

const instances = new Map<string, CoreWalker>();

/** The core's walker with registers and memory set by hand. */
export class CoreWalker {
  readonly core = new Core();
  readonly #cells: BigUint64Array;

  constructor(parameters: Parameters) {
    const block = this.core.parameters;
    for (const [name, value] of Object.entries(parameters)) block[Parameter[name as keyof typeof Parameter]] = value;
    this.core.exports.start();
    this.#cells = this.core.cells(this.core.exports.embedAddress(), 32);
  }

  /** An instance with these parameters and empty memory; instances are reused. */
  static with(parameters: Parameters): CoreWalker {
    const key = JSON.stringify(parameters);
    let walker = instances.get(key);
    if (walker === undefined) {
      walker = new CoreWalker(parameters);
      instances.set(key, walker);
    }
    walker.core.exports.embedClear();
    return walker;
  }

  get #block(): BigUint64Array {
    return this.#cells.length > 0 ? this.#cells : this.core.cells(this.core.exports.embedAddress(), 32);
  }

  setState(regs: Registers, stage2: Stage2): void {
    const cells = this.#block;
    cells.set([regs.cr0, regs.cr3, regs.cr4, regs.efer, regs.pkru, regs.pkrs, regs.ac ? 1n : 0n]);
    for (let i = 0; i < 4; ++i) cells[7 + i] = regs.pdptes?.[i] ?? 0n;
    cells[11] = stage2.kind === "none" ? 0n : stage2.root;
    this.core.exports.embedSetState();
  }

  write(hpa: bigint, value: bigint, bytes: 4 | 8 = 8): void {
    this.#block[12] = hpa;
    this.#block[13] = value;
    this.core.exports.embedWrite(bytes);
  }

  read(hpa: bigint, bytes: 4 | 8 = 8): bigint {
    this.#block[12] = hpa;
    this.core.exports.embedRead(bytes);
    return this.#block[13]!;
  }

  /** One walk past the TLBs. */
  walk(gva: bigint, access: Access): CoreOutcome {
    this.#block[12] = gva;
    return this.#outcome(this.core.exports.embedWalk(accessBits(access)));
  }

  /** One access through the TLBs; `hpa` only, where it succeeds. */
  access(gva: bigint, access: Access): CoreOutcome {
    this.#block[12] = gva;
    return this.#outcome(this.core.exports.embedAccess(accessBits(access)));
  }

  #outcome(code: number): CoreOutcome {
    const cells = this.#block;
    const references = Number(cells[24]);
    const gpa = cells[23]!;
    const gla = cells[21]!;
    switch (code) {
      case 0:
        return { ok: true, hpa: cells[16]!, gpa: cells[17]!, entry: cells[18]!, references };
      case 1:
        return { ok: false, fault: "PF", errorCode: Number(cells[20]), cr2: gla, references };
      case 2:
        return { ok: false, fault: "GP", references };
      case 3:
        return { ok: false, exit: "EPT_VIOLATION", qualification: Number(cells[22]), gpa, gla, references };
      case 4:
        return { ok: false, exit: "EPT_MISCONFIG", gpa, references };
      case 5:
        return { ok: false, exit: "NPF", exitinfo1: cells[22]!, gpa, references };
      default:
        throw new Error(`outcome ${code}`);
    }
  }
}

export type CoreOutcome =
  | { ok: true; hpa: bigint; gpa: bigint; entry: bigint; references: number }
  | { ok: false; fault: "PF"; errorCode: number; cr2: bigint; references: number }
  | { ok: false; fault: "GP"; references: number }
  | { ok: false; exit: "EPT_VIOLATION"; qualification: number; gpa: bigint; gla: bigint; references: number }
  | { ok: false; exit: "EPT_MISCONFIG"; gpa: bigint; references: number }
  | { ok: false; exit: "NPF"; exitinfo1: bigint; gpa: bigint; references: number };

/** The reference walker's outcome without its list of references: what the core must equal. */
export function comparable(outcome: Outcome): object {
  const { references, ...rest } = outcome;
  const shared = { ...rest, references: references.length };
  if (!shared.ok) return shared;
  const { hpa, gpa } = shared;
  return { ok: true, hpa, gpa, references: references.length };
}
