import { hex, reservedText } from "./entries.js";
import type { RawState } from "./log.js";
import type { Bit, Check, Hex, ReferenceStep, Reported } from "./types.js";

/** Refusals and what they report, in words. */

/** The entries of the walk that withhold a right: their names. */
function withholding(entries: readonly ReferenceStep[], bit: string, set: boolean): string {
  const names = entries
    .filter(({ decoded }) => decoded.bits.some((b) => b.name === bit && b.set === set))
    .map(({ name }) => name);
  return names.length > 0 ? names.join(", ") : "an entry above, which a paging-structure cache holds";
}

/** Why the check failed: `entry` is the last one read of its tables, `entries` all of them. */
export function refusalText(
  check: Check,
  entry: ReferenceStep | undefined,
  entries: readonly ReferenceStep[],
  state: RawState,
  name: string,
): string {
  const ept = entry?.tables === "host" && state.second === 1;
  switch (check) {
    case "canonical":
      return "the address is not canonical";
    case "notPresent":
      return entry === undefined
        ? `no ${name} maps the address: it lies beyond what the tables span, or its entry is a register that is not present`
        : `${entry.name} is not present`;
    case "reserved":
      return `${entry!.name} has reserved ${reservedText(BigInt(entry!.decoded.reserved ?? "0x0"))} set`;
    case "rights":
      return `${entry!.name} has a combination of rights that EPT does not allow: ${entry!.decoded.text}`;
    case "memoryType":
      return `${entry!.name} has a memory type that does not exist: ${entry!.decoded.memoryType}`;
    case "user":
      return `the page is the supervisor's: U/S is clear in ${withholding(entries, "U/S", false)}`;
    case "write":
      return ept
        ? `writes are not allowed: W is clear in ${withholding(entries, "W", false)}`
        : `the page is read-only: R/W is clear in ${withholding(entries, "R/W", false)}`;
    case "read":
      return `reads are not allowed: R is clear in ${withholding(entries, "R", false)}`;
    case "execute":
      return ept
        ? `the page is not executable: ${state.modeBased ? "XS or XU" : "X"} is clear in ${withholding(entries, state.modeBased ? "XS" : "X", false)}`
        : `the page is not executable: XD is set in ${withholding(entries, "XD", true)}`;
    case "smep":
      return "the supervisor fetches from a user page, which CR4.SMEP forbids";
    case "smap":
      return "the supervisor accesses a user page, which CR4.SMAP forbids while EFLAGS.AC is clear";
    case "key":
      return keyText(entry, state);
    case "shadowStack":
      return "the page is no shadow-stack page of this privilege: R/W clear and D set in the leaf, R/W set above";
    case "flags":
      return `${name} needs a flag set, and the second stage does not let its table be written`;
    case "log":
      return "the page-modification log is full";
  }
}

function keyText(entry: ReferenceStep | undefined, { pkru, pkrs }: RawState): string {
  const key = entry?.decoded.key ?? 0;
  const user = entry?.decoded.bits.some(({ name, set }) => name === "U/S" && set) ?? true;
  const bits = Number(((user ? pkru : pkrs) >> BigInt(2 * key)) & 3n);
  return `protection key ${key}: ${user ? "PKRU" : "IA32_PKRS"} has ${bits & 1 ? `AD${key}` : `WD${key}`} set, which forbids ${bits & 1 ? "every access" : "writes"}`;
}

type Names = readonly (readonly [bit: number, name: string, whenSet: string, whenClear: string])[];

function reported(value: bigint, names: Names): Reported {
  const bits: Bit[] = names.map(([at, name, whenSet, whenClear]) => {
    const set = ((value >> BigInt(at)) & 1n) !== 0n;
    return { name, set, meaning: set ? whenSet : whenClear };
  });
  return { value: hex(value), bits };
}

const PAGE_FAULT: Names = [
  [0, "P", "the page is present: its rights or reserved bits refused", "an entry is not present"],
  [1, "W/R", "a write", "not a write"],
  [2, "U/S", "by user mode", "by supervisor mode"],
  [3, "RSVD", "a reserved bit is set", "no reserved bit"],
  [4, "I/D", "an instruction fetch", "no fetch, or fetches are not told apart"],
  [5, "PK", "the protection key refused", "not the protection key"],
  [6, "SS", "a shadow-stack access", "not a shadow-stack access"],
];

/** SDM 3A 4.7. */
export function pageFaultCode(code: bigint): Reported {
  return reported(code, PAGE_FAULT);
}

const VIOLATION: Names = [
  [0, "read", "a read", "not a read"],
  [1, "write", "a write", "not a write"],
  [2, "fetch", "an instruction fetch", "not a fetch"],
  [3, "R", "the address is readable", "the address is not readable"],
  [4, "W", "the address is writable", "the address is not writable"],
  [5, "X", "the address is executable", "the address is not executable"],
  [6, "XU", "executable from user pages", "not executable from user pages"],
  [7, "linear", "the linear address is valid", "there is no linear address"],
  [8, "final", "the translation of the linear address", "an access to one of the guest's tables"],
  [9, "user", "a user page", "a supervisor page, or not told"],
  [10, "writable", "a writable page of the guest", "a read-only page, or not told"],
  [11, "no-execute", "a no-execute page of the guest", "an executable page, or not told"],
  [13, "shadow stack", "a shadow-stack access", "not a shadow-stack access"],
];

/** SDM 3C table 28-7. */
export function violationQualification(qualification: bigint): Reported {
  return reported(qualification, VIOLATION);
}

const NESTED: Names = [
  ...PAGE_FAULT.slice(0, 5),
  [32, "final", "the guest's final physical address", "not the final address"],
  [33, "table", "one of the guest's tables", "not a table"],
];

/** EXITINFO1. APM 2 15.25.6. */
export function nestedFaultInfo(info: bigint): Reported {
  return reported(info, NESTED);
}

/** The names of the bits that are set: "P, W/R, U/S". */
export function setBits({ bits }: Reported): string {
  const names = bits.filter(({ set }) => set).map(({ name }) => name);
  return names.length === 0 ? "none" : names.join(", ");
}

export function withBits(value: Hex, report: Reported): string {
  return `${value} (${setBits(report)})`;
}
