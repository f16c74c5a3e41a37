import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createMmu } from "nestwalk/embed";

const PAGE = 0x1_0000;
/** What the program's code, data and stack take, and the guest's memory behind them. */
const PROGRAM_PAGES = 4;
const RAM_BYTES = 16 * PAGE;

/** Why the program cannot be compiled here, or undefined. */
export function missingCompiler(): string | undefined {
  for (const tool of ["clang", "wasm-ld"])
    if (spawnSync(tool, ["--version"]).status !== 0) return `${tool} is not installed`;
  return undefined;
}

/** Compiles host.c and mmu.c, in `sources`, to WebAssembly. */
export function compile(sources: string): Uint8Array<ArrayBuffer> {
  const folder = mkdtempSync(join(tmpdir(), "nestwalk-c-"));
  try {
    const wasm = join(folder, "host.wasm");
    const header = dirname(createRequire(import.meta.url).resolve("nestwalk/nestwalk.h"));
    execFileSync("clang", [
      ...[
        "--target=wasm32",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-ffreestanding",
        "-nostdlib",
        `-I${header}`,
      ],
      ...["-Wl,--no-entry", "-Wl,--import-memory", "-Wl,--export=run", "-o", wasm],
      ...["host.c", "mmu.c"].map((name) => join(sources, name)),
    ]);
    return new Uint8Array(readFileSync(wasm));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export interface Check {
  what: string;
  found: bigint;
  expected: bigint;
}

/** Runs the program: it, the guest's memory and the core share one memory, and it calls the core without JavaScript between. */
export function runProgram(wasm: Uint8Array<ArrayBuffer>): Check[] {
  const memory = new WebAssembly.Memory({ initial: PROGRAM_PAGES + RAM_BYTES / PAGE, maximum: 0x1_0000 });
  const base = PROGRAM_PAGES * PAGE;
  const mmu = createMmu({ memory, ram: { base, size: RAM_BYTES } });
  const checks: Check[] = [];
  const check = (at: number, length: number, found: bigint, expected: bigint) =>
    checks.push({
      what: new TextDecoder().decode(new Uint8Array(memory.buffer, at, length)),
      found: BigInt.asUintN(64, found),
      expected: BigInt.asUintN(64, expected),
    });
  const nestwalk = mmu.exports as unknown as WebAssembly.ModuleImports;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm), {
    env: { memory },
    host: { check },
    nestwalk,
  });
  (exports.run as (ram: number) => void)(base);
  return checks;
}
