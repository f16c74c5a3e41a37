/**
 * Makes a core that can lie anywhere in a memory which its host brings: the compiler places static data at `BASE`, and
 * here every constant that is an address becomes an offset from the imported global `env.__memory_base`, as WebAssembly's
 * convention for dynamic libraries has it. Static data and globals that hold addresses are set by the start function.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import binaryen from "binaryen";

/** Where the compiler is told that static data begins: a range of numbers that the source has no other use for. */
const BASE = JSON.parse(readFileSync(new URL("../asconfig.json", import.meta.url), "utf8")).targets.linear
  .memoryBase;
/** Static data, and the heap's beginning, are before this. */
const END = BASE + (256 << 16);

const isAddress = (n) => n >= BASE && n < END;

/** A number of the source in the range would be taken for an address. */
function checkSource(folder) {
  for (const entry of readdirSync(folder, { recursive: true })) {
    if (!entry.endsWith(".ts")) continue;
    for (const [number] of readFileSync(join(folder, entry), "utf8").matchAll(
      /\b(0x[0-9a-f_]+|\d[\d_]*)\b/gi,
    ))
      if (isAddress(Math.abs(Number(number.replaceAll("_", "")) | 0)))
        throw new Error(
          `${entry}: ${number} lies where scripts/relocate.mjs has static data; choose another memoryBase in asconfig.json`,
        );
  }
}

const ADDRESS = (n) => `global.get $base\n i32.const ${n - BASE}\n i32.add`;

/** The allocator computes the page that the heap begins in, rounded up. */
const PAGE = (n) =>
  `global.get $base\n i32.const ${(n << 16) - BASE + 0xffff}\n i32.add\n i32.const 16\n i32.shr_u`;

/** Whether it is an address shifted, as the compiler computes what it can. */
function isDerived(n) {
  for (let shift = 1; shift < 16; ++shift) if (n >= BASE >>> shift && n < END >>> shift) return true;
  return false;
}

const LOAD = /^ *((?:i32|i64)\.load\w*)( offset=(\d+))?$/;

/** Loads take the constant part of their address as their offset. */
function foldLoads(lines) {
  for (let i = 0; i < lines.length; ++i) {
    const constant = /^global\.get \$base\n i32\.const (\d+)\n i32\.add$/.exec(lines[i]);
    const load = constant && LOAD.exec(lines[i + 1] ?? "");
    if (!load) continue;
    lines[i] = "global.get $base";
    lines[i + 1] = `${load[1]} offset=${Number(constant[1]) + Number(load[3] ?? 0)}`;
  }
}

/** An imported global is read anew at each use: a function with several uses keeps it in a local. */
function keepBase(lines) {
  const starts = lines.flatMap((line, i) => (/^ \(func /.test(line) ? [i] : []));
  for (const [n, start] of starts.entries()) {
    const end = starts[n + 1] ?? lines.length;
    const uses = [];
    for (let i = start; i < end; ++i) if (lines[i].startsWith("global.get $base")) uses.push(i);
    if (uses.length < 2) continue;
    for (const i of uses) lines[i] = lines[i].replace("global.get", "local.get");
    let last = start;
    while (/^ *\(local /.test(lines[last + 1])) ++last;
    lines[last] += "\n (local $base i32)\n global.get $base\n local.set $base";
  }
}

/** Bytes of a string in WebAssembly's text format. */
const lengthOf = (text) => text.replace(/\\[0-9a-f]{2}|\\./gi, "_").length;

/** The binary of the relocatable core, from the compiler's text. */
export function relocate(text, folder) {
  checkSource(folder);
  const place = [];
  const lines = text.split("\n").map((line) => {
    const number = /^( *)i32\.const (-?\d+)$/.exec(line);
    if (number) {
      const n = Number(number[2]);
      if (isAddress(n)) return ADDRESS(n);
      if (n >= BASE >>> 16 && n < END >>> 16) return PAGE(n);
      if (isAddress(-n) || isDerived(n))
        throw new Error(`computed from an address, which is not understood: ${line.trim()}`);
      return line;
    }
    const segment = /^ *\(data (\$\S+) \(i32\.const (\d+)\) "(.*)"\)$/.exec(line);
    if (segment) {
      const [, name, at, content] = segment;
      place.push(
        `${ADDRESS(Number(at))}\n i32.const 0\n i32.const ${lengthOf(content)}\n memory.init ${name}`,
      );
      return ` (data ${name} "${content}")`;
    }
    const global = /^ *\(global (\S+) (\(mut i32\)|i32) \(i32\.const (\d+)\)\)$/.exec(line);
    if (global && isAddress(Number(global[3]))) {
      place.push(`${ADDRESS(Number(global[3]))}\n global.set ${global[1]}`);
      return ` (global ${global[1]} (mut i32) (i32.const 0))`;
    }
    if (/^ \(import "env" "memory"/.test(line))
      return ` (import "env" "memory" (memory $0 1))\n (import "env" "__memory_base" (global $base i32))`;
    const start = /^ \(start (\S+)\)$/.exec(line);
    if (start) {
      place.push(`call ${start[1]}`);
      return " (start $place)";
    }
    const left = [...line.matchAll(/(?<![\w.$-])\d{9,}/g)].find(([n]) => isAddress(Number(n)));
    if (left && !line.includes("(data")) throw new Error(`an address that is not understood: ${line.trim()}`);
    return line;
  });
  /* The allocator first tries to double a memory: that of a host is not its own, so it takes what it needs. */
  const doubling = lines.findIndex((line, i) => / memory\.grow$/.test(line) && / select$/.test(lines[i - 1]));
  if (doubling === -1) throw new Error("the allocator does not grow memory as it did");
  lines[doubling] = " drop\n i32.const -1";
  foldLoads(lines);
  keepBase(lines);
  const last = lines.lastIndexOf(")");
  lines.splice(last, 0, ` (func $place\n ${place.join("\n ")}\n )`);
  const module = binaryen.parseText(lines.join("\n"));
  module.setFeatures(
    binaryen.Features.MutableGlobals |
      binaryen.Features.BulkMemory |
      binaryen.Features.BulkMemoryOpt |
      binaryen.Features.SignExt |
      binaryen.Features.NontrappingFPToInt,
  );
  if (!module.validate()) throw new Error("the relocated core is not valid");
  module.runPasses(["optimize-instructions", "vacuum"]);
  const binary = module.emitBinary();
  module.dispose();
  return binary;
}

/** Bytes of static data, a multiple of 16: what must be there before the core's heap begins. */
export function staticBytes(binary) {
  const memory = new WebAssembly.Memory({ initial: 512 });
  const none = () => 0;
  const base = 1024;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(binary), {
    env: { memory, __memory_base: base, abort: none },
    host: { read: () => 0n, write: none, compareExchange: none, kind: none },
  });
  return (exports.heapBase() - base + 15) & ~15;
}
