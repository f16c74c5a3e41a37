import { ConfigError } from "../config/index.js";
import { Kind, staticBytes } from "../generated/abi.js";
import type { HostFunctions } from "../instantiate.js";
import { GuardedFunctions } from "./guarded.js";
import type { MemoryRange, MmuOptions, PhysicalHooks } from "./options.js";

/** Where the core lies and how it reaches guest memory. */
export interface Placement {
  /** The core's memory, and the host's if it brought one. */
  memory: WebAssembly.Memory;
  /** First byte of the core in it. */
  base: number;
  ranges: readonly Required<MemoryRange>[];
  /** Whether the core loads from the ranges by itself. */
  linear: boolean;
  /** Whether addresses outside of what it can load are asked of `functions`. */
  calls: boolean;
  functions: GuardedFunctions;
}

const PAGE = 4096;
const WASM_PAGE = 65_536;
const MOST_RANGES = 16;
/** 52 bits, the widest physical address. */
const MOST_ADDRESS = 2 ** 52;
/** Heap of the core at the start, in bytes: TLBs and caches; with the model's hypervisor its tables too. */
const HEAP = 3 << 20;
const HYPERVISOR_HEAP = 24 << 20;

const hex = (n: number) => `0x${n.toString(16)}`;

/** The ranges that `ram` describes. Throws ConfigError. */
export function rangesOf(ram: MmuOptions["ram"]): Required<MemoryRange>[] {
  const one = !Array.isArray(ram);
  const given = one ? [{ address: 0, base: 0, ...(ram as { base?: number; size: number }) }] : ram;
  if (given.length > MOST_RANGES)
    throw new ConfigError(`ram has ${given.length} ranges; join some, as there may be ${MOST_RANGES}`);
  const ranges = given.map((range: MemoryRange) => ({ ...range, kind: range.kind ?? ("ram" as const) }));
  for (const [i, { address, base, size, kind }] of ranges.entries()) {
    const named = one ? "ram" : `ram[${i}]`;
    for (const [name, n, unit] of [
      ["address", address, PAGE],
      ["base", base, 8],
      ["size", size, PAGE],
    ] as const)
      if (!Number.isSafeInteger(n) || n < 0 || n % unit !== 0)
        throw new ConfigError(
          `${named}.${name} is ${n}; it must be a multiple of ${unit} bytes`,
          `${named}.${name}`,
        );
    if (size === 0) throw new ConfigError(`${named}.size is 0; it must have some bytes`, `${named}.size`);
    if (address + size > MOST_ADDRESS)
      throw new ConfigError(`${named} ends at ${hex(address + size)}, beyond 2^52`, named);
    if (kind !== "ram" && kind !== "rom")
      throw new ConfigError(`${named}.kind is "${String(kind)}"; it must be ram or rom`, `${named}.kind`);
  }
  const sorted = [...ranges].sort((a, b) => a.address - b.address);
  for (const [i, range] of sorted.entries()) {
    const before = sorted[i - 1];
    if (before !== undefined && before.address + before.size > range.address)
      throw new ConfigError(`the ranges of ram at ${hex(before.address)} and ${hex(range.address)} overlap`);
  }
  return ranges;
}

function checkFit(ranges: readonly Required<MemoryRange>[], bytes: number): void {
  for (const { address, base, size } of ranges)
    if (base + size > bytes)
      throw new ConfigError(
        `the range of ram at ${hex(address)} ends at byte ${base + size} of the memory, which has ${bytes}`,
      );
}

/** Places the core for what the host brought. Throws ConfigError. */
export function place(options: MmuOptions, model: boolean): Placement {
  const ranges = rangesOf(options.ram);
  const pages = Math.ceil((staticBytes + (model ? HYPERVISOR_HEAP : HEAP)) / WASM_PAGE);
  const { memory } = options;
  const hooks = options.physical;
  const functions = hostFunctions(hooks ?? {});
  const calls = hooks !== undefined;
  if (memory instanceof WebAssembly.Memory || memory === undefined) {
    let its = memory;
    if (its === undefined) {
      const end = Math.max(0, ...ranges.map(({ base, size }) => base + size));
      its = newMemory(Math.ceil(end / WASM_PAGE));
    }
    if (its.buffer instanceof ArrayBuffer === false)
      throw new ConfigError(
        "the memory is shared; give its buffer, so that entries are exchanged atomically",
      );
    checkFit(ranges, its.buffer.byteLength);
    return {
      memory: its,
      base: grow(its, pages),
      ranges,
      linear: true,
      calls,
      functions: new GuardedFunctions(functions),
    };
  }
  const view = ArrayBuffer.isView(memory)
    ? new DataView(memory.buffer, memory.byteOffset, memory.byteLength)
    : new DataView(memory);
  checkFit(ranges, view.byteLength);
  const own = newMemory(1);
  return {
    memory: own,
    base: grow(own, pages),
    ranges,
    linear: false,
    calls: true,
    functions: new GuardedFunctions(bufferFunctions(view, ranges, functions)),
  };
}

function newMemory(pages: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: WASM_PAGE });
  } catch {
    throw new ConfigError(
      `ram has ${pages} pages of 64 KiB; without a memory of the host's it may have at most 4 GiB, and less where the engine says so`,
    );
  }
}

function grow(memory: WebAssembly.Memory, pages: number): number {
  try {
    return memory.grow(pages) * WASM_PAGE;
  } catch {
    if (memory.buffer.byteLength + pages * WASM_PAGE > 2 ** 32)
      throw new ConfigError(
        `the memory leaves no room for the ${pages} pages of 64 KiB that the core needs behind it, as it may have 4 GiB; give less RAM, or RAM in a buffer`,
      );
    throw new ConfigError(
      `the memory cannot grow by ${pages} pages of 64 KiB, which the core needs behind it; give it a larger maximum`,
    );
  }
}

const address = (low: number, high: number) => (high >>> 0) * 2 ** 32 + (low >>> 0);

function hostFunctions(hooks: PhysicalHooks): HostFunctions {
  return {
    kind: (low, high) => hooks.kind?.(address(low, high)) ?? Kind.none,
    read: (low, high, bytes, why) => {
      if (hooks.read === undefined) return 0n;
      const value: unknown = hooks.read(address(low, high), bytes as 4 | 8, why);
      if (typeof value !== "bigint")
        throw new ConfigError(
          `physical.read answered ${String(value)}; it must answer a bigint`,
          "physical.read",
        );
      return BigInt.asUintN(64, value);
    },
    write: (low, high, bytes, value, why) =>
      hooks.write?.(address(low, high), bytes as 4 | 8, BigInt.asUintN(bytes * 8, value), why),
    compareExchange: (low, high, bytes, expected, value, why) => {
      if (hooks.compareExchange === undefined) return 1;
      const bits = bytes * 8;
      const before = BigInt.asUintN(bits, expected);
      const done = hooks.compareExchange(
        address(low, high),
        bytes as 4 | 8,
        before,
        BigInt.asUintN(bits, value),
        why,
      );
      return done ? 1 : 0;
    },
  };
}

/** Guest RAM in a buffer that WebAssembly cannot reach. */
function bufferFunctions(
  view: DataView,
  ranges: readonly Required<MemoryRange>[],
  outside: HostFunctions,
): HostFunctions {
  const shared = view.buffer instanceof ArrayBuffer === false;
  const find = (at: number) => ranges.find((range) => at >= range.address && at < range.address + range.size);
  const get = (offset: number, bytes: number): bigint => {
    if (shared) {
      const place = view.byteOffset + offset;
      return bytes === 8
        ? Atomics.load(new BigUint64Array(view.buffer, place, 1), 0)
        : BigInt(Atomics.load(new Uint32Array(view.buffer, place, 1), 0));
    }
    return bytes === 8 ? view.getBigUint64(offset, true) : BigInt(view.getUint32(offset, true));
  };
  /** Returns what was there. */
  const exchange = (offset: number, bytes: number, expected: bigint, value: bigint): bigint => {
    if (shared) {
      const place = view.byteOffset + offset;
      return bytes === 8
        ? Atomics.compareExchange(new BigUint64Array(view.buffer, place, 1), 0, expected, value)
        : BigInt(
            Atomics.compareExchange(
              new Uint32Array(view.buffer, place, 1),
              0,
              Number(expected),
              Number(value),
            ),
          );
    }
    const before = get(offset, bytes);
    if (before === expected) put(offset, bytes, value);
    return before;
  };
  const put = (offset: number, bytes: number, value: bigint) => {
    if (bytes === 8) view.setBigUint64(offset, value, true);
    else view.setUint32(offset, Number(value), true);
  };
  return {
    kind: (low, high) => {
      const range = find(address(low, high));
      return range === undefined ? outside.kind(low, high) : Kind[range.kind];
    },
    read: (low, high, bytes, why) => {
      const at = address(low, high);
      const range = find(at);
      return range === undefined
        ? outside.read(low, high, bytes, why)
        : get(range.base + at - range.address, bytes);
    },
    write: (low, high, bytes, value, why) => {
      const at = address(low, high);
      const range = find(at);
      if (range === undefined) outside.write(low, high, bytes, value, why);
      else if (range.kind === "ram")
        put(range.base + at - range.address, bytes, BigInt.asUintN(bytes * 8, value));
    },
    compareExchange: (low, high, bytes, expected, value, why) => {
      const at = address(low, high);
      const range = find(at);
      if (range === undefined) return outside.compareExchange(low, high, bytes, expected, value, why);
      if (range.kind === "rom") return 1;
      const before = BigInt.asUintN(bytes * 8, expected);
      const after = BigInt.asUintN(bytes * 8, value);
      return exchange(range.base + at - range.address, bytes, before, after) === before ? 1 : 0;
    },
  };
}
