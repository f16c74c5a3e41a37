import { optionName } from "../../request/option-names.js";
import { TraceError } from "../error.js";
import type { Column, Columns } from "./columns.js";
import { type Import, type Importer, type ImportHints, withoutTables } from "./importer.js";
import { address, allMatch, headLines, LineDecoder, quoted } from "./lines.js";
import type { RecordOut } from "./out.js";

/**
 * The text of operating-systems courses: an address and R or W on each line, in either order ("0041f7a0 R", "W 0x7ff0"),
 * or in columns that the user states. Lines that begin with # are comments.
 */
const KIND = "(?:r|w|i|f|l|s|read|write|load|store|fetch|ifetch|ld|st)";
const ADDRESS = "(?:0x)?[0-9a-f]{1,16}";
const ADDRESS_FIRST = new RegExp(`^\\s*${ADDRESS}[\\s,]+${KIND}\\s*$`, "i");
const KIND_FIRST = new RegExp(`^\\s*${KIND}[\\s,]+${ADDRESS}\\s*$`, "i");
/** Fewer lines of nothing but digits do not tell decimal from hexadecimal. */
const DECIMAL_LINES = 20;

const KINDS: Record<string, "read" | "write" | "fetch"> = {
  ...{ r: "read", l: "read", ld: "read", read: "read", load: "read" },
  ...{ w: "write", s: "write", st: "write", write: "write", store: "write" },
  ...{ i: "fetch", f: "fetch", fetch: "fetch", ifetch: "fetch" },
};

/** The columns that the lines show by themselves. */
function columnsOf(lines: readonly string[]): Columns | "ambiguous" | undefined {
  const first = allMatch(lines, ADDRESS_FIRST);
  if (!first && !allMatch(lines, KIND_FIRST)) return undefined;
  const addresses = lines
    .filter((line) => line.trim() !== "" && !/^\s*#/.test(line))
    .map((line) => line.trim().split(/[\s,]+/)[first ? 0 : 1]!);
  let base: Column;
  if (addresses.some((text) => /[xa-f]/i.test(text))) base = "hex";
  else if (addresses.every((text) => text.length >= 8 && text.startsWith("0"))) base = "hex";
  else if (addresses.length >= DECIMAL_LINES) base = "dec";
  else return "ambiguous";
  return first ? [base, "kind"] : ["kind", base];
}

function decode(name: string, columns: Columns, out: RecordOut): LineDecoder {
  const place = (column: Column) => columns.indexOf(column);
  const base = place("hex") >= 0 ? 16 : 10;
  const at = base === 16 ? place("hex") : place("dec");
  const [kindAt, sizeAt, pidAt, tidAt] = [place("kind"), place("size"), place("pid"), place("tid")];
  const advice = `its columns are ${columns.join(",")}; state others with ${optionName("columns")}`;
  const number = (text: string | undefined, what: string, where: LineDecoder): number => {
    const value = text !== undefined && /^(0x[0-9a-f]{1,13}|\d{1,15})$/i.test(text) ? Number(text) : -1;
    if (value < 0) throw where.corrupt(`has ${quoted(text ?? "")} for a ${what}`, advice);
    return value;
  };
  let told = pidAt >= 0 || tidAt >= 0;
  return new LineDecoder(name, (line, where) => {
    const text = line.trim();
    if (text === "" || text.startsWith("#")) return;
    const parts = text.split(/[\s,;]+/);
    const found = address(parts[at] ?? "", base);
    const kind = kindAt < 0 ? "read" : KINDS[(parts[kindAt] ?? "").toLowerCase()];
    // The names of the columns.
    if (!found && where.number === 1 && !/\d/.test(text)) return;
    if (!found || !kind || parts.length < columns.length)
      throw where.corrupt(`is not an address and a kind of access: ${quoted(text)}`, advice);
    const size = sizeAt < 0 ? ((found.lo & 4095) > 4092 ? 1 : 4) : number(parts[sizeAt], "size", where);
    if (size > 1 << 20) throw where.corrupt(`has an access of ${size} bytes`, advice);
    if (!told) out.switchTo(1, 1);
    else if (pidAt >= 0 || tidAt >= 0) {
      const pid = pidAt < 0 ? 1 : number(parts[pidAt], "process", where);
      out.switchTo(pid, tidAt < 0 ? pid : number(parts[tidAt], "thread", where));
    }
    told = true;
    if (kind === "read") out.read(found.hi, found.lo, size);
    else if (kind === "write") out.write(found.hi, found.lo, size);
    else out.fetch(found.hi, found.lo, size);
  });
}

export const plain: Importer = {
  format: "plain",
  title: "a text of addresses and R or W",
  looks: "lines such as 0041f7a0 R or W 0x7ff0; others by --columns hex,kind,size",
  probe(head, whole) {
    const lines = headLines(head, whole);
    if (!lines) return 0;
    return columnsOf(lines) === undefined ? 0 : 0.6;
  },
  open(head, { name, columns, addresses }: ImportHints): Import {
    const lines = headLines(head, false) ?? [];
    const chosen = columns ?? columnsOf(lines.length > 0 ? lines : (headLines(head, true) ?? []));
    if (chosen === undefined)
      throw new TraceError(
        `${name} is not lines of an address and R or W; say what its columns hold with ${optionName("columns")}, such as ${optionName("columns", "hex,kind,size")}`,
        { kind: "unrecognised", offset: 0 },
      );
    if (chosen === "ambiguous")
      throw new TraceError(
        `${name} has addresses of digits only, which may be decimal or hexadecimal; say which with ${optionName("columns", "dec,kind")} or ${optionName("columns", "hex,kind")} (or kind,dec and kind,hex)`,
        { kind: "unrecognised", offset: 0 },
      );
    const missing = [];
    if (!chosen.includes("size")) missing.push("access sizes");
    if (!chosen.includes("kind")) missing.push("which accesses write");
    return {
      recorded: withoutTables("text of addresses", addresses ?? "virtual", {
        missing: [...missing, "instruction fetches"],
        notes: [`columns ${chosen.join(",")}`],
      }),
      start: (out) => decode(name, chosen, out),
    };
  },
};
