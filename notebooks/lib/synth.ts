import { generatorOptions, generators, type SynthOptions, synthTrace } from "nestwalk";
import type { TraceFile } from "../../page/src/engine/messages.js";

/** A trace that is computed, as `nestwalk trace synth` writes it, for `replay`. */
export async function synth(name: string, options: Partial<SynthOptions>): Promise<TraceFile> {
  const generator = generators.find((one) => one.name === name);
  if (generator === undefined) throw new Error(`there is no generator "${name}"`);
  const parts: BlobPart[] = [];
  for await (const part of synthTrace(
    generator,
    generatorOptions(generator, options),
    `nestwalk trace synth ${name}`,
  ))
    parts.push(new Uint8Array(part));
  return { name: `${name}.nwt`, bytes: new Blob(parts) };
}
