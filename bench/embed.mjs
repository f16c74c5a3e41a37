/**
 * What one translation that hits the TLB costs a host, in process CPU time, all in one run: nestwalk called from
 * JavaScript and from WebAssembly, nestwalk's lookaside inlined in a host's WebAssembly, v86's own lookup inside its
 * WebAssembly (npm v86), and an MMU of the same rules in plain JavaScript.
 *
 *   npm run bench:embed [-- ROUNDS]
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import binaryen from "binaryen";
import { Access, createMmu, Status } from "../dist/embed/index.js";
import { LookasideEntry, LookasideHead, lookasideEntries } from "../dist/generated/abi.js";
import { PlainMmu } from "./plain-mmu.mjs";

const N = 5_000_000;
const ROUNDS = Number(process.argv[2] ?? 7);
const MIB = 2 ** 20;
const VA = 0x40_0000;
const STEP = 64;
/** Sixteen pages, which every first-level TLB holds. */
const MASK = 0xffff;

/** A guest in long mode with pages at VA, mapped to 1 MiB. */
function tables(view) {
  const put = (at, value) => view.setBigUint64(at, value, true);
  put(0x1000, 0x2067n);
  put(0x2000, 0x3067n);
  put(0x3000 + 8 * 2, 0x4067n);
  for (let i = 0; i < 16; ++i) put(0x4000 + 8 * i, BigInt(MIB + 4096 * i) | 0x67n);
}

function started(memory) {
  const mmu = createMmu({ memory, ram: { base: 0, size: 4 * MIB } });
  tables(new DataView(memory.buffer));
  mmu.setCodeLong(false);
  for (const status of [mmu.setCr4(0xa0), mmu.setEfer(0x900), mmu.setCr3(0x1000), mmu.setCr0(0x8001_0001)])
    if (status !== Status.ok) throw new Error(`a register load ends in ${status}`);
  mmu.setCodeLong(true);
  for (let i = 0; i < 16; ++i)
    if (mmu.translate(VA + 4096 * i, 0, Access.read) !== Status.ok) throw new Error("a page is not mapped");
  return mmu;
}

/** A host in WebAssembly: a loop of reads that calls the core, or has the lookup of its lookaside in it. */
function wasmHost(mmu) {
  const { lookasideAddress, lookasideHeadAddress } = mmu.exports;
  const head = lookasideHeadAddress();
  const address = "(i32.add (i32.const VA) (local.get $offset))".replace("VA", VA);
  const loop = (lookup) => `
    (local $offset i32) (local $sum i64) (local $entry i32) (local $hits i64) (local $counter i32)
    (block $miss (loop $next
      ${lookup}
      (local.set $offset (i32.and (i32.add (local.get $offset) (i32.const ${STEP})) (i32.const ${MASK})))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $next (local.get $n)))
      (return (local.get $sum)))
    (unreachable)`;
  const take = `(local.set $sum (i64.add (local.get $sum) (i64.or
      (i64.load offset=${LookasideEntry.physical} (local.get $entry))
      (i64.extend_i32_u (i32.and ${address} (i32.const 0xfff))))))`;
  const text = `(module
    (import "env" "memory" (memory 1))
    (import "nestwalk" "embedFind" (func $find (param i32 i32 i32) (result i32)))
    (func (export "called") (param $n i32) (result i64)
      ${loop(`(local.set $entry (call $find ${address} (i32.const 0) (i32.const 0)))
        (br_if $miss (i32.eqz (local.get $entry)))
        ${take}`)})
    (func (export "inlined") (param $n i32) (result i64)
      ${loop(`(local.set $entry (i32.add (i32.const ${lookasideAddress()})
          (i32.shl (i32.and (i32.shr_u ${address} (i32.const 12)) (i32.const ${lookasideEntries - 1})) (i32.const 6))))
        (br_if $miss (i64.ne (i64.load offset=${LookasideEntry.key} (local.get $entry))
          (i64.or (i64.extend_i32_u (i32.shr_u ${address} (i32.const 12)))
            (i64.load offset=${LookasideHead.generation} (i32.const ${head})))))
        (br_if $miss (i64.ne (i64.load (i32.load offset=${LookasideEntry.slot} (local.get $entry)))
          (i64.load offset=${LookasideEntry.tag} (local.get $entry))))
        (br_if $miss (i64.ne (i64.load (i32.load offset=${LookasideEntry.place} (local.get $entry)))
          (i64.load offset=${LookasideEntry.data} (local.get $entry))))
        (br_if $miss (i64.eqz (i64.and (i64.const 1)
          (i64.shr_u (i64.load offset=${LookasideEntry.allowed} (local.get $entry))
            (i64.extend_i32_u (i32.load offset=${LookasideHead.ac} (i32.const ${head})))))))
        (local.set $hits (i64.add (i64.load offset=${LookasideHead.hits} (i32.const ${head})) (i64.const 1)))
        (i64.store offset=${LookasideHead.hits} (i32.const ${head}) (local.get $hits))
        (i64.store (i32.load offset=${LookasideEntry.age} (local.get $entry))
          (i64.add (i64.load offset=${LookasideHead.time} (i32.const ${head})) (local.get $hits)))
        (local.set $counter (i32.load offset=${LookasideEntry.counters} (local.get $entry)))
        (i64.store (local.get $counter) (i64.add (i64.load (local.get $counter)) (i64.const 1)))
        ${take}`)})
  )`;
  const module = binaryen.parseText(text);
  if (!module.validate()) throw new Error("the host is not valid");
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.emitBinary()), {
    env: { memory: mmu.memory },
    nestwalk: { embedFind: mmu.exports.embedFind },
  });
  return instance.exports;
}

/** The same in C, with the functions of nestwalk.h; undefined without clang and lld. */
function hostInC(mmu) {
  const folder = mkdtempSync(join(tmpdir(), "nestwalk-bench-"));
  try {
    const [source, wasm] = [join(folder, "host.c"), join(folder, "host.wasm")];
    writeFileSync(
      source,
      `#include "nestwalk.h"
uint64_t run(uint32_t n) {
  nestwalk_lookaside lookaside = {nestwalk_lookaside_address(), nestwalk_lookaside_head_address()};
  uint64_t sum = 0, physical;
  for (uint32_t offset = 0; n; --n, offset = (offset + ${STEP}) & ${MASK})
    if (nestwalk_translate(lookaside, ${VA}ull + offset, NESTWALK_ACCESS_READ, &physical) == NESTWALK_STATUS_OK) sum += physical;
  return sum;
}
`,
    );
    const header = fileURLToPath(new URL("../build", import.meta.url));
    const { status } = spawnSync("clang", [
      ...["--target=wasm32", "-O2", "-ffreestanding", "-nostdlib", `-I${header}`],
      ...["-Wl,--no-entry", "-Wl,--import-memory", "-Wl,--export=run", "-o", wasm, source],
    ]);
    if (status !== 0) return undefined;
    const module = new WebAssembly.Module(readFileSync(wasm));
    return new WebAssembly.Instance(module, { env: { memory: mmu.memory }, nestwalk: mmu.exports }).exports;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const mmu = started(new WebAssembly.Memory({ initial: 64 }));
const host = wasmHost(mmu);
const cHost = hostInC(mmu);
const plainMemory = new ArrayBuffer(4 * MIB);
tables(new DataView(plainMemory));
const plain = new PlainMmu(plainMemory);
plain.cr3 = 0x1000;

const cases = [
  {
    name: "nestwalk, translate() from JavaScript",
    run() {
      let sum = 0;
      for (let i = 0, offset = 0; i < N; ++i, offset = (offset + STEP) & MASK)
        sum += mmu.translate(VA + offset, 0, 0);
      return sum;
    },
  },
  {
    name: "nestwalk, translate() and physical from JavaScript",
    run() {
      let sum = 0;
      for (let i = 0, offset = 0; i < N; ++i, offset = (offset + STEP) & MASK) {
        mmu.translate(VA + offset, 0, 0);
        sum += mmu.physical;
      }
      return sum;
    },
  },
  {
    name: "nestwalk, physicalOf() from JavaScript",
    run() {
      let sum = 0;
      for (let i = 0, offset = 0; i < N; ++i, offset = (offset + STEP) & MASK)
        sum += mmu.physicalOf(VA + offset, 0, 0);
      return sum;
    },
  },
  { name: "nestwalk, embedFind() called from WebAssembly", run: () => host.called(N) },
  ...(cHost ? [{ name: "nestwalk, nestwalk_translate() of nestwalk.h in C", run: () => cHost.run(N) }] : []),
  { name: "nestwalk, its lookaside inlined in WebAssembly", run: () => host.inlined(N) },
  {
    name: "plain JavaScript, translate() and physical",
    run() {
      let sum = 0;
      for (let i = 0, offset = 0; i < N; ++i, offset = (offset + STEP) & MASK) {
        plain.translate(VA + offset, 0, 0);
        sum += plain.physical;
      }
      return sum;
    },
  },
];

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
const best = new Map();
function measure(...which) {
  for (let round = 0; round < ROUNDS; ++round) {
    for (const { name, run } of which) {
      const start = cpu();
      run();
      best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, ((cpu() - start) * 1000) / N));
    }
  }
}
measure(...cases);

/*
 * v86 boots the example's ROM, whose window of pages is then in its TLB. The example has an MMU of its own: only now, as an engine
 * calls one faster than several.
 */
const { runComparison } = await import("../build/examples/v86/run.js");
const { host: v86 } = await runComparison();
const WINDOW = 0x4000_0000;
cases.push({
  name: "v86, its lookup called inside its WebAssembly",
  run: () => v86.lookups(WINDOW, STEP, MASK, N),
});
measure(...cases.slice(-2));

console.log(`A translation that hits the TLB: best of ${ROUNDS} rounds of ${N} each, process CPU time`);
console.table(
  [...best].map(([host, ns]) => ({
    host,
    ns: Number(ns.toFixed(2)),
    "against translate()": Number((ns / best.get(cases[0].name)).toFixed(2)),
  })),
);
const { counters, laws } = mmu.result();
if (laws.some((law) => !law.holds)) throw new Error("what was inlined is not counted");
console.log(`${counters.accesses} accesses of nestwalk's, all of them counted; every conservation law holds`);
await v86.close();
