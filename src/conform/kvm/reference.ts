import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import { UsageError } from "../../cli/io.js";

/** What a reference file says of one measured phase. A group of figures that is absent is not compared. */

const figures = z.record(z.string(), z.number());
const record = z.object({
  workload: z.string().optional(),
  id: z.string().optional(),
  params: figures.default({}),
  phase: z.string(),
  mode: z.string(),
  kernel: z.string(),
  trace: z.string(),
  events: figures.default({}),
  exits: figures.optional(),
  exits_net: z.number().optional(),
  counters: figures.optional(),
  tracepoints: figures.optional(),
  gauges_before_after: z.record(z.string(), z.tuple([z.number(), z.number()])).optional(),
});

export type ReferencePhase = z.output<typeof record> & { readonly id: string; readonly workload: string };

/** The records of a file. Throws a UsageError that names the file and what is wrong with it. */
export async function readReference(path: string): Promise<ReferencePhase[]> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readText(path));
  } catch (error) {
    if (error instanceof SyntaxError) throw new UsageError(`${path} is not JSON: ${error.message}`);
    throw error;
  }
  if (!Array.isArray(parsed)) throw new UsageError(`${path} is not a list of phases`);
  return parsed.map((entry, i) => {
    const result = record.safeParse(entry);
    if (!result.success) {
      const issue = result.error.issues[0]!;
      throw new UsageError(`${path}: record ${i}: ${issue.path.join(".") || "it"}: ${issue.message}`);
    }
    const id = result.data.id ?? result.data.trace.replace(/\.txt(\.gz)?$/, "");
    return { ...result.data, id, workload: result.data.workload ?? id.split("_")[0]! };
  });
}

/** The text of a file, packed by gzip or not. */
export async function readText(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes.toString("utf8");
  try {
    return gunzipSync(bytes).toString("utf8");
  } catch (error) {
    throw new UsageError(`cannot unpack ${path}: ${(error as Error).message}`);
  }
}
