import { instantiateSync } from "@assemblyscript/loader";
import { linear, simd } from "./generated/core-bytes.js";

/** Which build of the core: both give the same results. "scalar" needs no SIMD and lies in any memory. */
export type CoreBuild = "simd" | "scalar";

/** Functions of a host for physical memory outside of its ranges (assembly/host.ts). */
export interface HostFunctions {
  read(low: number, high: number, bytes: number, why: number): bigint;
  write(low: number, high: number, bytes: number, value: bigint, why: number): void;
  compareExchange(
    low: number,
    high: number,
    bytes: number,
    expected: bigint,
    value: bigint,
    why: number,
  ): number;
  kind(low: number, high: number): number;
}

/** A small module that needs SIMD: one function of `i8x16.splat` and `i8x16.popcnt`. */
const SIMD_PROBE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98,
  11,
]);

/** Whether this engine runs the SIMD build. */
export function simdSupported(): boolean {
  return WebAssembly.validate(SIMD_PROBE);
}

const modules = new Map<CoreBuild, WebAssembly.Module>();

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; ++i) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function moduleOf(build: CoreBuild): WebAssembly.Module {
  let module = modules.get(build);
  if (module === undefined) {
    module = new WebAssembly.Module(bytesOf(build === "simd" ? simd : linear));
    modules.set(build, module);
  }
  return module;
}

const NOTHING: HostFunctions = {
  read: () => 0n,
  write: () => {},
  compareExchange: () => 1,
  kind: () => 0,
};

/** Pages of the core in a memory of its own, and where it begins: address 0 is nobody's. */
const PAGES = 64;
const MOST_PAGES = 65_536;
const BASE = 1024;

/** The core's failure: the text that it left in its memory, behind its length in bytes. */
function fail(memory: WebAssembly.Memory, at: number): never {
  const length = new Uint32Array(memory.buffer, at - 4, 1)[0]! >>> 1;
  throw new Error(`the core failed: ${String.fromCharCode(...new Uint16Array(memory.buffer, at, length))}`);
}

/** What the core exports, with the memory that it lies in. */
export function instantiate<Exports>(which: CoreBuild | WebAssembly.Module): Exports {
  const module = which instanceof WebAssembly.Module ? which : moduleOf(which);
  if (WebAssembly.Module.imports(module).some(({ kind }) => kind === "memory"))
    return placeCore(module, new WebAssembly.Memory({ initial: PAGES, maximum: MOST_PAGES }), BASE);
  const { exports } = instantiateSync<{ readonly memory: WebAssembly.Memory }>(module, {
    env: { abort: (at: number) => fail(exports.memory, at) },
  });
  return exports as Exports;
}

/** The core in a memory that a host brings, from byte `base` on. */
export function placeCore<Exports>(
  module: WebAssembly.Module | undefined,
  memory: WebAssembly.Memory,
  base: number,
  host: HostFunctions = NOTHING,
): Exports {
  const { exports } = new WebAssembly.Instance(module ?? moduleOf("scalar"), {
    env: { memory, __memory_base: base, abort: (at: number) => fail(memory, at >>> 0) },
    host: host as unknown as WebAssembly.ModuleImports,
  });
  return { ...exports, ...addressesOf(exports), memory } as Exports;
}

/** JavaScript takes an i32 for signed; a core may lie beyond 2 GiB. */
function addressesOf(exports: WebAssembly.Exports): Record<string, (...operands: number[]) => number> {
  const names = Object.keys(exports).filter((name) => /Address$/.test(name) || name === "embedTlbArray");
  return Object.fromEntries(
    names.map((name) => {
      const its = exports[name] as (...operands: number[]) => number;
      return [name, (...operands: number[]) => its(...operands) >>> 0];
    }),
  );
}
