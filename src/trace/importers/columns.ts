import { TraceError } from "../error.js";

/** What a column of a plain text trace holds. */
export type Column = "hex" | "dec" | "kind" | "size" | "pid" | "tid" | "-";
export type Columns = readonly Column[];

const KNOWN: readonly string[] = ["hex", "dec", "kind", "size", "pid", "tid", "-"];

/**
 * The columns that a text such as "hex,kind,size" names: `hex` or `dec` the address, `kind` R, W or I, `size` in bytes,
 * `pid` and `tid` who did it, `-` nothing of interest. Throws TraceError in a sentence.
 */
export function parseColumns(text: string): Columns {
  const columns = text.split(",").map((name) => name.trim());
  const fail = (why: string) =>
    new TraceError(
      `the columns "${text}" ${why}; name them in order, such as hex,kind or pid,kind,dec,size (known are ${KNOWN.join(", ")})`,
      { kind: "unsupported" },
    );
  for (const name of columns) if (!KNOWN.includes(name)) throw fail(`hold "${name}", which is not known`);
  for (const name of KNOWN.slice(2, -1))
    if (columns.filter((c) => c === name).length > 1) throw fail(`hold ${name} twice`);
  const addresses = columns.filter((name) => name === "hex" || name === "dec").length;
  if (addresses !== 1) throw fail(addresses === 0 ? "hold no address" : "hold more than one address");
  return columns as Column[];
}
