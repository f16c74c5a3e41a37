import { fileURLToPath } from "node:url";
import { compare } from "../../src/compare.js";
import { resolveConfig, type TechniqueName, techniqueKeys } from "../../src/config/index.js";
import { openFile } from "../../src/node/files.js";
import type { Result } from "../../src/result.js";
import { bytesInMemory } from "../../src/trace/bytes.js";
import { openTrace } from "../../src/trace/index.js";
import { generators, optionsOf, synthTrace } from "../../src/trace/synth/index.js";

export const ALL: readonly TechniqueName[] = ["native", "shadow", "ept", "npt"];

export function configOf(technique: TechniqueName, ...set: string[]) {
  const options = Object.entries(techniqueKeys(technique)).map(([path, value]) => ({
    option: "--technique",
    path,
    value,
  }));
  return resolveConfig({ set, options });
}

/** A small recorded guest of tests/fixtures, replayed. */
export async function fixtureResult(name: string, techniques = ALL, ...set: string[]): Promise<Result> {
  const path = fileURLToPath(new URL(`../fixtures/${name}.nwt`, import.meta.url));
  const trace = await openTrace(await openFile(path));
  const asked = { command: "compare", technique: techniques, ...(set.length > 0 ? { set } : {}) };
  const { trace: described, ...rest } = await compare(
    trace,
    techniques.map((technique) => configOf(technique, ...set)),
    { asked },
  );
  return { ...rest, trace: { ...described, file: `tests/fixtures/${name}.nwt` } };
}

/** A computed guest that changes its tables at a rate, replayed. */
export async function updatesResult(rate: number, techniques = ALL): Promise<Result> {
  const generator = generators.find(({ name }) => name === "table-updates")!;
  const parts: Uint8Array[] = [];
  for await (const part of synthTrace(
    generator,
    optionsOf(generator, { instructions: 20_000, pages: 64, rate }),
    "",
  ))
    parts.push(part);
  const trace = await openTrace(bytesInMemory(`updates-${rate}.nwt`, Buffer.concat(parts)));
  return compare(
    trace,
    techniques.map((technique) => configOf(technique)),
    { asked: { command: "compare", technique: techniques } },
  );
}
