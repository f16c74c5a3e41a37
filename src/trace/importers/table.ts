import { champsim, cloudsuite } from "./champsim.js";
import { dinero, dineroExtended } from "./dinero.js";
import { drmemtrace } from "./drmemtrace.js";
import { execlog } from "./execlog.js";
import { gem5 } from "./gem5.js";
import type { Importer } from "./importer.js";
import { lackey } from "./lackey.js";
import { headLines } from "./lines.js";
import { plain } from "./plain.js";
import { ramulatorCpu, ramulatorLoadStore } from "./ramulator.js";
import { text } from "./text.js";

/** Bytes of a file that importers look at. */
export const PROBE_BYTES = 1 << 16;

/** Every foreign format. A new one is one file and one row. */
export const importers: readonly Importer[] = [
  text,
  drmemtrace,
  gem5,
  lackey,
  execlog,
  champsim,
  cloudsuite,
  dineroExtended,
  dinero,
  ramulatorCpu,
  ramulatorLoadStore,
  plain,
];

/** Closer than this, two formats are equally likely. */
const MARGIN = 0.1;

/** What a file looks like. */
export interface Likeness {
  /** The formats that it may be of, surest first; more than one only where they cannot be told apart. */
  importers: Importer[];
  /** What shows it: the head, or the part of it without the mistakes of a text. */
  head: Uint8Array;
}

export function recognise(head: Uint8Array, whole: boolean): Likeness {
  const sure = importers
    .map((importer) => ({ importer, sure: importer.probe(head, whole) }))
    .filter((row) => row.sure > 0)
    .sort((a, b) => b.sure - a.sure);
  const best = sure.filter((row) => row.sure > sure[0]!.sure - MARGIN).map((row) => row.importer);
  if (best.length > 0) return { importers: best, head };
  // A last line without its end may have been cut.
  return whole && head.at(-1) !== NEWLINE ? recognise(head, false) : mostly(head, whole);
}

const NEWLINE = 10;
const PARTS = 8;

/** The format of most of a text's parts, so that reading it can name the line that is none. */
function mostly(head: Uint8Array, whole: boolean): Likeness {
  const none = { importers: [], head };
  const lines = headLines(head, whole);
  if (lines === undefined || lines.length < 3) return none;
  const per = Math.ceil(lines.length / PARTS);
  const good = new Map<Importer, string>();

  for (let at = 0; at < lines.length; at += per) {
    const part = lines
      .slice(at, at + per)
      .map((line) => `${line}\n`)
      .join("");
    const bytes = new TextEncoder().encode(part);
    for (const importer of importers)
      if (importer.probe(bytes, true) > 0) good.set(importer, (good.get(importer) ?? "") + part);
  }
  const lineCount = (text: string) => text.split("\n").length - 1;
  const [first, second] = [...good].sort(([, a], [, b]) => lineCount(b) - lineCount(a));
  if (first === undefined || lineCount(first[1]) < lines.length / 2) return none;
  if (second !== undefined && lineCount(second[1]) === lineCount(first[1])) return none;
  return { importers: [first[0]], head: new TextEncoder().encode(first[1]) };
}
