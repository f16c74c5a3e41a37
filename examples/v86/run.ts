import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createMmu, type Mmu } from "nestwalk/embed";
import { loadImage } from "../image.js";
import { Comparison } from "./comparison.js";
import { image } from "./guest/image.js";
import { type Host, RAM_BYTES, startV86 } from "./host.js";
import { patch } from "./patch.js";

const ROM_BYTES = 0x1_0000;
/** v86 answers from here to 1 MiB with its video memory. */
const VIDEO = { first: 0xa_0000, end: 0xc_0000 } as const;

/** v86's module as npm has it, with the hooks. */
export function patchedV86(): Uint8Array<ArrayBuffer> {
  return patch(readFileSync(createRequire(import.meta.url).resolve("v86/build/v86.wasm")));
}

/** Runs the ROM in v86 and compares each walk that v86 makes; returns what the guest said at its end, too. */
export async function runComparison(
  wasm = patchedV86(),
): Promise<{ said: string; comparison: Comparison; mmu: Mmu; host: Host }> {
  const rom = new Uint8Array(ROM_BYTES);
  loadImage(image, (address, byte) => rom.fill(byte, address, address + 1), 0);
  let comparison: Comparison | undefined;
  const host = await startV86(wasm, rom, {
    walkBegins: (address, write, user, jit, effects) =>
      comparison!.walkBegins(address, write, user, jit, effects),
    walkEnds: (entry) => comparison!.walkEnds(entry),
    flushed: (all) => comparison!.flushed(all),
    invlpg: (address) => comparison!.invlpg(address),
  });
  const { memory, ramBase } = host;
  const mmu = createMmu({
    memory,
    ram: [
      { address: 0, base: ramBase, size: VIDEO.first },
      { address: VIDEO.end, base: ramBase + VIDEO.end, size: RAM_BYTES - VIDEO.end },
    ],
    record: { guest: "examples/v86/guest" },
  });
  comparison = new Comparison(mmu, host);
  return { said: await host.run(), comparison, mmu, host };
}
