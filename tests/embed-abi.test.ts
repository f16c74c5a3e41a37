import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import binaryen from "binaryen";
import { describe, expect, it } from "vitest";
// @ts-expect-error: a script without types
import { abi, abiHeader, abiRust, abiTypescript } from "../scripts/abi.mjs";
import { lower, presetNames, resolveConfig } from "../src/config/index.js";
import { Access, Status } from "../src/embed/index.js";
import {
  abiVersion,
  batchRecordBytes,
  feedRecordBytes,
  feedRecords,
  LookasideEntry,
  LookasideHead,
  lookasideEntries,
  lookasideEntryBytes,
  staticBytes,
  TlbArray,
} from "../src/generated/abi.js";
import { version } from "../src/generated/version.js";
import { Guest, P, RW, US } from "./embed/guest.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const file = (name: string) => readFileSync(join(root, name), "utf8");
const needs = {
  staticBytes,
  feedRecords,
  feedRecordBytes,
  lookasideEntries,
  lookasideEntryBytes,
  batchRecordBytes,
};

describe("the constants of the ABI", () => {
  const presets = presetNames.map((name) => ({
    name,
    block: lower(resolveConfig({ cpu: name, set: ["technique=native"] })),
  }));
  const all = { ...needs, parameters: presets[0]!.block.length };

  it("are those that the core declares, in every language", () => {
    expect(file("src/generated/abi.ts")).toBe(abiTypescript("assembly", needs));
    expect(file("build/nestwalk.h")).toBe(abiHeader("assembly", all, version, presets));
    expect(file("build/nestwalk.rs")).toBe(abiRust("assembly", all, version, presets));
    expect(new Guest().mmu.exports.abiVersion()).toBe(abiVersion);
  });

  it("name functions that the core has", () => {
    const { exports } = new Guest().mmu;
    const names = [...file("build/nestwalk.h").matchAll(/NESTWALK_IMPORT\("(\w+)"\)/g)].map(
      ([, name]) => name!,
    );
    expect(names.length).toBeGreaterThan(40);
    expect(names.filter((name) => !(name in exports))).toEqual([]);
  });

  it("have no name twice", () => {
    const names = abi("assembly").flatMap((group: { name: string; rows: { name: string }[] }) =>
      group.rows.map((row) => `${group.name}.${row.name}`),
    );
    expect(new Set(names).size).toBe(names.length);
  });

  const compilers = [
    ["gcc", ["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"], "host.c"],
    ["clang", ["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"], "host.c"],
    ["rustc", ["--edition", "2024", "--crate-type", "lib", "--emit", "metadata"], "host.rs"],
  ] as const;
  it.each(compilers)("compile: %s", (compiler, flags, name) => {
    if (spawnSync(compiler, ["--version"]).status !== 0) return;
    const folder = mkdtempSync(join(tmpdir(), "nestwalk-abi-"));
    try {
      const source =
        name === "host.c"
          ? `#include "${join(root, "build/nestwalk.h")}"\nint main(void) { return nestwalk_preset_zen5[NESTWALK_PARAMETER_VENDOR] == NESTWALK_STATUS_OK; }\n`
          : `include!("${join(root, "build/nestwalk.rs")}");\npub fn vendor() -> u32 { PRESET_ZEN5[PARAMETER_VENDOR as usize] + STATUS_OK }\n`;
      writeFileSync(join(folder, name), source);
      const { status, stderr } = spawnSync(compiler, [...flags, name], { cwd: folder, encoding: "utf8" });
      expect([status, stderr]).toEqual([0, ""]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

const VA = 0x7f12_3456_7000n;

function guest() {
  const g = new Guest();
  const table = g.table();
  for (let i = 0n; i < 8n; ++i) g.map(table, VA + 4096n * i, 0x5000 + 4096 * Number(i), P | RW | US);
  g.start(table);
  return g;
}

it("a TLB entry is where the layout says", () => {
  const g = guest();
  expect(g.go(VA, Access.read)).toBe(Status.ok);
  const { exports, memory } = g.mmu;
  const view = new DataView(memory.buffer);
  const found: bigint[] = [];
  for (let i = 0; exports.embedTlbArray(0, i) !== 0; ++i) {
    const at = exports.embedTlbArray(0, i);
    const of = (offset: number) => view.getUint32(at + offset, true);
    const page = VA >> 12n;
    for (let set = 0; set <= of(TlbArray.setMask); ++set)
      for (let way = 0; way < of(TlbArray.ways); ++way) {
        const slot = of(TlbArray.sets) + set * of(TlbArray.setBytes) + 8 * way;
        const tag = view.getBigUint64(slot, true);
        if (tag === 0n) continue;
        expect(tag).toBe((1n << 63n) | (BigInt(exports.embedContext(false)) << 48n) | page);
        if (of(TlbArray.hash) === 0) expect(BigInt(set)).toBe(page & BigInt(of(TlbArray.setMask)));
        found.push(view.getBigUint64(slot + of(TlbArray.column), true));
      }
  }
  /* Write-back, frame 5, second stage read and write, executable, user, writable; not dirty. */
  expect(found).toEqual([(6n << 58n) | 0x5000n | 0x37n]);
});

it("the functions that the header declares are the core's, with its parameters and results", () => {
  const module = binaryen.readBinary(readFileSync(join(root, "build/core-linear.wasm")));
  const types = new Map<number, string>([
    [binaryen.i32, "uint32_t"],
    [binaryen.f64, "double"],
    [binaryen.none, "void"],
  ]);
  const exported = new Map<string, string>();
  for (let i = 0; i < module.getNumExports(); ++i) {
    const { name, value, kind } = binaryen.getExportInfo(module.getExportByIndex(i));
    if (kind !== binaryen.ExternalFunction) continue;
    const { params, results } = binaryen.getFunctionInfo(module.getFunction(value));
    const takes = binaryen.expandType(params).map((type) => types.get(type));
    exported.set(name, `${types.get(results)} (${takes.join(", ")})`);
  }
  module.dispose();
  const declared = [
    ...file("build/nestwalk.h").matchAll(/NESTWALK_IMPORT\("(\w+)"\) extern (\w+) \w+\((.*)\);/g),
  ].map(([, name, result, parameters]) => [
    name!,
    `${result} (${parameters === "void" ? "" : parameters!.replaceAll(/(\w+) \w+/g, "$1")})`,
  ]);
  expect(declared.length).toBeGreaterThan(55);
  for (const [name, type] of declared) expect([name, exported.get(name!)]).toEqual([name, type]);
});

it("a lookup inlined by the layout, and one that answers with the address, find what a call finds, and count the same", () => {
  const [a, b, c] = [guest(), guest(), guest()];
  const inlined = (va: bigint, access: number): number => {
    const { exports, memory } = a.mmu;
    const view = new DataView(memory.buffer);
    const head = exports.lookasideHeadAddress();
    const index = Number((va >> 12n) & BigInt(lookasideEntries - 1)) + (access & 3) * lookasideEntries;
    const entry = exports.lookasideAddress() + index * lookasideEntryBytes;
    const u64 = (at: number) => view.getBigUint64(at, true);
    const u32 = (at: number) => view.getUint32(at, true);
    const hit =
      u64(entry + LookasideEntry.key) === ((va >> 12n) | u64(head + LookasideHead.generation)) &&
      u64(u32(entry + LookasideEntry.slot)) === u64(entry + LookasideEntry.tag) &&
      u64(u32(entry + LookasideEntry.place)) === u64(entry + LookasideEntry.data) &&
      (u64(entry + LookasideEntry.allowed) >> BigInt(access + u32(head + LookasideHead.ac))) & 1n;
    if (!hit) return a.go(va, access) === Status.ok ? a.mmu.physical : -1;
    const add = (at: number) => view.setBigUint64(at, u64(at) + 1n, true);
    add(head + LookasideHead.hits);
    view.setBigUint64(
      u32(entry + LookasideEntry.age),
      u64(head + LookasideHead.time) + u64(head + LookasideHead.hits),
      true,
    );
    add(u32(entry + LookasideEntry.counters) + 8 * access);
    ++hits;
    return Number(u64(entry + LookasideEntry.physical) | (va & 0xfffn));
  };
  let hits = 0;
  const accesses = [
    Access.read,
    Access.write,
    Access.fetch,
    Access.read | Access.user,
    Access.read | Access.implicit,
  ];
  for (let i = 0; i < 2000; ++i) {
    const va = VA + 4096n * BigInt((i * 7) % 9) + 8n;
    const access = accesses[i % accesses.length]!;
    if (i % 100 === 50) for (const g of [a, b, c]) g.mmu.setAc(i % 200 === 50);
    if (i % 150 === 70) for (const g of [a, b, c]) g.mmu.invlpg(Number(va & 0xffff_ffffn), Number(va >> 32n));
    if (i % 333 === 1) for (const g of [a, b, c]) g.mmu.setCr4(i % 2 ? 0x20_00a0n : 0xa0n);
    const other = b.go(va, access) === Status.ok ? b.mmu.physical : -1;
    expect([i, inlined(va, access)]).toEqual([i, other]);
    const physical = c.mmu.physicalOf(Number(va & 0xffff_ffffn), Number(va >> 32n), access);
    expect([i, Math.max(physical, -1)]).toEqual([i, other]);
    if (physical >= 0) expect(c.mmu.rights).toBe(b.mmu.rights);
  }
  expect(hits).toBeGreaterThan(800);
  expect(a.mmu.result()).toEqual(b.mmu.result());
  expect(c.mmu.result()).toEqual(b.mmu.result());
  expect(a.mmu.result().laws.filter((law) => !law.holds)).toEqual([]);
});
