/**
 * How fast traces of other tools are imported, in references a second of CPU time: a recorded guest, written as
 * drmemtrace and as lackey text by the exporters, is read back from memory. `node bench/import.mjs [TRACE]`.
 */
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { bytesInMemory, openTrace } from "../dist/index.js";
import { openFile } from "../dist/node.js";
import { exportDrmemtrace } from "../dist/trace/exporters/drmemtrace.js";
import { exportLackey } from "../dist/trace/exporters/lackey.js";

const path = process.argv[2] ?? fileURLToPath(new URL("../traces/sqlite.nwt", import.meta.url));

async function collect(parts) {
  const list = [];
  for await (const part of parts) list.push(part);
  return Buffer.concat(list);
}

const drmemtrace = await collect(exportDrmemtrace(await openTrace(await openFile(path))));
const lackey = await collect(exportLackey(await openTrace(await openFile(path))));
const files = {
  drmemtrace,
  "drmemtrace, gzip": gzipSync(drmemtrace),
  lackey,
  "lackey, gzip": gzipSync(lackey, { level: 1 }),
};
const { header } = await openTrace(await openFile(path));
const references = header.totals.fetches + header.totals.reads + header.totals.writes;
for (const [name, held] of Object.entries(files)) {
  const bytes = new Uint8Array(held);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    const start = process.cpuUsage();
    const trace = await openTrace(bytesInMemory(name, bytes));
    for await (const _ of trace.records());
    const { user, system } = process.cpuUsage(start);
    best = Math.min(best, (user + system) / 1e6);
  }
  const rate = (references / best / 1e6).toFixed(1);
  console.log(`${name.padEnd(18)}${rate.padStart(6)} M references/s, ${(bytes.length / 1e6).toFixed(1)} MB`);
}
