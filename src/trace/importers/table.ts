import { champsim, cloudsuite } from "./champsim.js";
import { dinero, dineroExtended } from "./dinero.js";
import { drmemtrace } from "./drmemtrace.js";
import { execlog } from "./execlog.js";
import { gem5 } from "./gem5.js";
import type { Importer } from "./importer.js";
import { lackey } from "./lackey.js";
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

/** The formats that `head` may be of, surest first; more than one only where they cannot be told apart. */
export function recognise(head: Uint8Array, whole: boolean): Importer[] {
  const sure = importers
    .map((importer) => ({ importer, sure: importer.probe(head, whole) }))
    .filter((row) => row.sure > 0)
    .sort((a, b) => b.sure - a.sure);
  return sure.filter((row) => row.sure > sure[0]!.sure - MARGIN).map((row) => row.importer);
}
