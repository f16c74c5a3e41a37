/**
 * The numbers that a host and the core share, read from the declarations of the core and written three times: as TypeScript
 * for src/embed, as a C header and as a Rust file for hosts in other languages.
 */
import { readFileSync } from "node:fs";
import { members } from "./declarations.mjs";

/** Of the ABI; grows when a host written for an earlier one would go wrong. */
export const ABI_VERSION = 1;

/** Enums: name here, in which file of the core, what it is there, and its prefix in C and Rust. */
const ENUMS = [
  ["Status", "x86/fault.ts", "Outcome", "how a translation or an instruction ended"],
  ["Right", "embed/answer.ts", "Right", "what may be kept with a translation"],
  ["Kind", "memory/ranges.ts", "PageKind", "what answers at a physical address"],
  ["MemoryType", "mmu/memory-type.ts", "MemoryType", "memory types"],
  ["Reason", "memory/reason.ts", "Reason", "why physical memory is touched"],
  ["Feed", "mmu/feed.ts", "Feed", "kinds of invalidation"],
  ["Scope", "mmu/feed.ts", "Scope", "what an invalidation reaches"],
  ["LookasideHead", "mmu/lookaside.ts", "LookasideHead", "offsets in the head of the lookaside"],
  ["LookasideEntry", "mmu/lookaside.ts", "LookasideEntry", "offsets in an entry of the lookaside"],
  ["FeedRecord", "mmu/feed.ts", "FeedRecord", "offsets in a record of the feed"],
  ["BatchRecord", "embed/many.ts", "BatchRecord", "offsets in a record of a batch"],
  ["TlbLevel", "embed/answer.ts", "TlbLevelName", "levels of TLB"],
  ["TlbArray", "embed/answer.ts", "TlbArray", "offsets in the description of a TLB array"],
  ["Register", "embed/instructions.ts", "Register", "registers of embedLoad"],
  ["Cell", "embed/block.ts", "Cell", "64-bit cells of the block at embedAddress"],
  ["Parameter", "parameters.ts", "Parameter", "numbers of the parameter block, u32 each"],
  ["Counter", "counters.ts", "Counter", "counters, u64 each"],
  ["Structure", "counters.ts", "Structure", "TLBs and paging-structure caches"],
  ["StructureCell", "counters.ts", "StructureCell", "counters of one structure, u64 each"],
  ["ExitReason", "counters.ts", "ExitReason", "reasons of VM exits"],
];

/** Bits of an access, and what a TLB entry and its tag hold: constants of the core. */
const CONSTANTS = [
  ["Access", "x86/access.ts", ["READ", "WRITE", "FETCH", "USER", "IMPLICIT", "SHADOW_STACK"]],
  [
    "TlbEntry",
    "mmu/tlb.ts",
    [
      "TLB_W",
      "TLB_U",
      "TLB_X",
      "TLB_D",
      "TLB_W2",
      "TLB_R2",
      "TLB_G",
      "TLB_SHADOW_STACK",
      "TLB_KEY_SHIFT",
      "TLB_FRAME",
      "TLB_SIZE_SHIFT",
      "TLB_STAGE1_SHIFT",
      "TLB_TYPE_SHIFT",
    ],
  ],
];

const camel = (name) => name.toLowerCase().replace(/_(\w)/g, (_, c) => c.toUpperCase());
const upper = (name) =>
  name
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/^TLB_/, "")
    .toUpperCase();

function constantsOf(source, names) {
  return names.map((name) => {
    const expression = new RegExp(`export const ${name}: u\\d+ = ([^;]+);`).exec(source)?.[1];
    if (expression === undefined) throw new Error(`no constant ${name}`);
    const value = BigInt(Function(`return ${expression.replace(/\b(0x[0-9a-f_]+|\d+)\b/g, "$1n")}`)());
    return { name, value };
  });
}

/** All of them: [{name, sentence, rows: [{name, value}]}]. */
export function abi(folder) {
  const source = (file) => readFileSync(`${folder}/${file}`, "utf8");
  return [
    ...ENUMS.map(([name, file, there, sentence]) => ({
      name,
      sentence,
      rows: members(source(file), there).map((m) => ({ name: m.name, value: BigInt(m.value), doc: m.doc })),
    })),
    ...CONSTANTS.map(([name, file, names]) => ({
      name,
      sentence: name === "Access" ? "an access: a kind, and how it is made" : "data of a TLB entry",
      rows: constantsOf(source(file), names),
    })),
  ];
}

/** The text of src/generated/abi.ts. */
export function abiTypescript(folder, more) {
  const wanted = abi(folder).filter(
    ({ name }) => !/^(Parameter|Counter|Structure|StructureCell|ExitReason)$/.test(name),
  );
  const object = ({ name, sentence, rows }) => {
    const value = (v) => (v < 1n << 53n ? `${v}` : `0x${v.toString(16)}n`);
    const key = (row) =>
      name === "Access" || name === "TlbEntry" ? camel(row.name.replace(/^TLB_/, "")) : row.name;
    const lines = rows.map((row) => `  ${key(row)}: ${value(row.value)},`);
    return `/** ${sentence[0].toUpperCase()}${sentence.slice(1)}. */\nexport const ${name} = {\n${lines.join("\n")}\n} as const;\n`;
  };
  return [
    "/** Written by scripts/build.mjs from the declarations of the core. */",
    ...Object.entries({ abiVersion: ABI_VERSION, ...more }).map(([k, v]) => `export const ${k} = ${v};`),
    "",
    ...wanted.map(object),
  ].join("\n");
}

function constantRows(folder, more) {
  const head = Object.entries({ abiVersion: ABI_VERSION, ...more }).map(([k, v]) => [upper(k), BigInt(v)]);
  const groups = abi(folder).map(({ name, sentence, rows }) => ({
    sentence: `${name}: ${sentence}`,
    rows: rows.map((row) => [`${upper(name)}_${upper(row.name)}`, row.value, row.doc ?? ""]),
  }));
  return [{ sentence: "version of the ABI, and what the core needs", rows: head }, ...groups];
}

/** Numbers, sixteen in a line. */
function rowsOf(block) {
  const lines = [];
  for (let i = 0; i < block.length; i += 16) lines.push(`    ${[...block.slice(i, i + 16)].join(", ")},`);
  return lines.join("\n");
}

const hex = (value) => (value < 256n ? `${value}` : `0x${value.toString(16)}`);

/**
 * The text of nestwalk.h. `presets` are the parameter blocks of native machines: a host sets the technique itself, and
 * what it wants otherwise.
 */
export function abiHeader(folder, more, version, presets) {
  const parts = constantRows(folder, more).map(
    ({ sentence, rows }) =>
      `/* ${sentence} */\n${rows
        .map(
          ([name, v, doc]) =>
            `#define NESTWALK_${name} ${hex(v)}${v > 0xffff_ffffn ? "ull" : "u"}${doc ? ` /* ${doc} */` : ""}`,
        )
        .join("\n")}\n`,
  );
  return `/* nestwalk ${version}: constants of the core's WebAssembly ABI (docs/embedding.md). Generated. */
#ifndef NESTWALK_H
#define NESTWALK_H
#include <stdint.h>

${parts.join("\n")}
${C_FUNCTIONS}
${C_LOOKUP}
/* parameter blocks of the CPU presets, with native paging: to be copied to nestwalk_parameters_address() before nestwalk_start() */
${presets
  .map(
    ({ name, block }) =>
      `__attribute__((unused)) static const uint32_t nestwalk_preset_${name.replaceAll("-", "_")}[NESTWALK_PARAMETERS] = {\n${rowsOf(block)}\n};`,
  )
  .join("\n")}
#endif
`;
}

/** The text of nestwalk.rs. */
export function abiRust(folder, more, version, presets) {
  const parts = constantRows(folder, more).map(
    ({ sentence, rows }) =>
      `// ${sentence}\n${rows
        .map(
          ([name, v, doc]) =>
            `${doc ? `/// ${doc}\n` : ""}pub const ${name}: ${v > 0xffff_ffffn ? "u64" : "u32"} = ${hex(v)};`,
        )
        .join("\n")}\n`,
  );
  return `// nestwalk ${version}: constants of the core's WebAssembly ABI (docs/embedding.md). Generated.

${parts.join("\n")}
${RUST_FUNCTIONS}
${RUST_LOOKUP}
// parameter blocks of the CPU presets, with native paging: to be copied to parameters_address() before start()
${presets
  .map(
    ({ name, block }) =>
      `pub const PRESET_${name.replaceAll("-", "_").toUpperCase()}: [u32; PARAMETERS as usize] = [\n${rowsOf(block)}\n];`,
  )
  .join("\n")}
`;
}

/** Functions of the core that a host imports: name, parameters, result. */
const FUNCTIONS = [
  ["parametersAddress", [], "u32"],
  ["embedAddress", [], "u32"],
  ["embedHostMemory", ["calls"], "void"],
  ["embedRange", ["at", "kind"], "u32"],
  ["embedLeaveExits", ["yes"], "void"],
  ["start", [], "void"],
  ["embedTranslate", ["low", "high", "access"], "u32"],
  ["embedFind", ["low", "high", "access"], "u32"],
  ["embedPhysical", ["low", "high", "access"], "f64"],
  ["embedCycles", [], "u32"],
  ["embedProbe", ["low", "high", "access"], "u32"],
  ["embedRights", [], "u32"],
  ["embedTlbArray", ["level", "index"], "u32"],
  ["embedContext", ["global"], "u32"],
  ["embedKind", [], "u32"],
  ["embedOffset", [], "u32"],
  ["embedMemoryType", [], "u32"],
  ["embedLoad", ["reg"], "u32"],
  ["embedAc", ["on"], "void"],
  ["embedCodeLong", ["yes"], "void"],
  ["embedSetPat", ["of_host"], "u32"],
  ["embedSetState", [], "void"],
  ["embedGetState", [], "void"],
  ["embedInvlpg", [], "void"],
  ["embedInvpcid", ["type"], "u32"],
  ["embedInvvpid", ["type"], "u32"],
  ["embedInvept", ["type"], "u32"],
  ["embedInvlpga", [], "void"],
  ["embedTlbControl", ["control"], "void"],
  ["embedEnter", [], "u32"],
  ["embedRun", [], "u32"],
  ["embedExit", [], "void"],
  ["embedSetVpid", [], "void"],
  ["embedNoRoot", [], "void"],
  ["embedFlush", [], "void"],
  ["embedFlushed", [], "u32"],
  ["embedInstruction", ["low", "high", "bytes"], "void"],
  ["embedStored", [], "void"],
  ["embedHostEvent", ["what", "gfn", "frames"], "void"],
  ["embedExitAlways", ["reason"], "void"],
  ["embedSetVirtualization", [], "void"],
  ["embedManyAddress", [], "u32"],
  ["embedManyMost", [], "u32"],
  ["embedMany", ["first", "end"], "u32"],
  ["embedSettle", [], "void"],
  ["feedAddress", [], "u32"],
  ["fedAddress", [], "u32"],
  ["lookasideAddress", [], "u32"],
  ["lookasideHeadAddress", [], "u32"],
  ["windowAddress", [], "u32"],
  ["windowSize", [], "u32"],
  ["replay", ["from", "length"], "u32"],
  ["stopReason", [], "u32"],
  ["finish", [], "void"],
  ["countersAddress", [], "u32"],
  ["structuresAddress", [], "u32"],
  ["exitCountsAddress", [], "u32"],
  ["exitCyclesAddress", [], "u32"],
];

const C_TYPES = { u32: "uint32_t", f64: "double", void: "void" };
const RUST_RESULTS = { u32: " -> u32", f64: " -> f64", void: "" };

/** The lookup of the lookaside for hosts to inline: what embedFind does (embed/translate.ts), in their own code. */
const C_LOOKUP = `/* where the lookaside lies: nestwalk_lookaside_address() and nestwalk_lookaside_head_address(), once */
typedef struct {
  uintptr_t entries, head;
} nestwalk_lookaside;
typedef uint64_t __attribute__((may_alias)) nestwalk_u64;
typedef uint32_t __attribute__((may_alias)) nestwalk_u32;
#define NESTWALK_U64(at) (*(nestwalk_u64 *)(at))
#define NESTWALK_U32(at) (*(nestwalk_u32 *)(at))

/* The entry of the lookaside that serves the access, counted as nestwalk_embed_find() counts it, or 0. */
static inline uintptr_t nestwalk_find(nestwalk_lookaside of, uint64_t va, uint32_t access) {
  uint32_t index = ((uint32_t)(va >> 12) & (NESTWALK_LOOKASIDE_ENTRIES - 1)) + (access & 3) * NESTWALK_LOOKASIDE_ENTRIES;
  uintptr_t entry = of.entries + (uintptr_t)index * NESTWALK_LOOKASIDE_ENTRY_BYTES;
  uint32_t as = (access & 31) + NESTWALK_U32(of.head + NESTWALK_LOOKASIDE_HEAD_AC);
  if (NESTWALK_U64(entry + NESTWALK_LOOKASIDE_ENTRY_KEY) !=
      ((va >> 12) | NESTWALK_U64(of.head + NESTWALK_LOOKASIDE_HEAD_GENERATION))) return 0;
  if (NESTWALK_U64((uintptr_t)NESTWALK_U32(entry + NESTWALK_LOOKASIDE_ENTRY_SLOT)) !=
      NESTWALK_U64(entry + NESTWALK_LOOKASIDE_ENTRY_TAG)) return 0;
  if (NESTWALK_U64((uintptr_t)NESTWALK_U32(entry + NESTWALK_LOOKASIDE_ENTRY_PLACE)) !=
      NESTWALK_U64(entry + NESTWALK_LOOKASIDE_ENTRY_DATA)) return 0;
  if (!((NESTWALK_U64(entry + NESTWALK_LOOKASIDE_ENTRY_ALLOWED) >> as) & 1)) return 0;
  uint64_t hits = NESTWALK_U64(of.head + NESTWALK_LOOKASIDE_HEAD_HITS) += 1;
  NESTWALK_U64((uintptr_t)NESTWALK_U32(entry + NESTWALK_LOOKASIDE_ENTRY_AGE)) =
      NESTWALK_U64(of.head + NESTWALK_LOOKASIDE_HEAD_TIME) + hits;
  NESTWALK_U64((uintptr_t)NESTWALK_U32(entry + NESTWALK_LOOKASIDE_ENTRY_COUNTERS) + (access & 31) * 8) += 1;
  return entry;
}

#ifdef __wasm__
/* Translates \`va\`: a status, and after NESTWALK_STATUS_OK the physical address. A hit makes no call; then rights and kind are not those of \`va\`. */
static inline uint32_t nestwalk_translate(nestwalk_lookaside of, uint64_t va, uint32_t access, uint64_t *physical) {
  uintptr_t entry = nestwalk_find(of, va, access);
  if (entry) {
    *physical = NESTWALK_U64(entry + NESTWALK_LOOKASIDE_ENTRY_PHYSICAL) | (va & 4095);
    return NESTWALK_STATUS_OK;
  }
  uint32_t status = nestwalk_embed_translate((uint32_t)va, (uint32_t)(va >> 32), access);
  *physical = NESTWALK_U64((uintptr_t)nestwalk_embed_address() + NESTWALK_CELL_HOST_PHYSICAL * 8);
  return status;
}
#endif
`;

const RUST_LOOKUP = `/// Where the lookaside lies: lookaside_address() and lookaside_head_address(), once.
#[derive(Clone, Copy)]
pub struct Lookaside {
    pub entries: usize,
    pub head: usize,
}

/// The entry of the lookaside that serves the access, counted as embed_find() counts it.
///
/// # Safety
/// \`of\` is the lookaside of a core in this memory, which nothing else uses meanwhile.
#[inline(always)]
pub unsafe fn find(of: Lookaside, va: u64, access: u32) -> Option<usize> {
    unsafe {
        let u64_at = |at: usize| *(at as *const u64);
        let u32_at = |at: usize| *(at as *const u32);
        let index = ((va >> 12) as u32 & (LOOKASIDE_ENTRIES - 1)) + (access & 3) * LOOKASIDE_ENTRIES;
        let entry = of.entries + index as usize * LOOKASIDE_ENTRY_BYTES as usize;
        let field = |offset: u32| entry + offset as usize;
        let head = |offset: u32| of.head + offset as usize;
        let to = |offset: u32| u32_at(field(offset)) as usize;
        let bit = (access & 31) + u32_at(head(LOOKASIDE_HEAD_AC));
        if u64_at(field(LOOKASIDE_ENTRY_KEY)) != (va >> 12) | u64_at(head(LOOKASIDE_HEAD_GENERATION))
            || u64_at(to(LOOKASIDE_ENTRY_SLOT)) != u64_at(field(LOOKASIDE_ENTRY_TAG))
            || u64_at(to(LOOKASIDE_ENTRY_PLACE)) != u64_at(field(LOOKASIDE_ENTRY_DATA))
            || u64_at(field(LOOKASIDE_ENTRY_ALLOWED)) >> bit & 1 == 0
        {
            return None;
        }
        let hits = u64_at(head(LOOKASIDE_HEAD_HITS)) + 1;
        *(head(LOOKASIDE_HEAD_HITS) as *mut u64) = hits;
        *(to(LOOKASIDE_ENTRY_AGE) as *mut u64) = u64_at(head(LOOKASIDE_HEAD_TIME)) + hits;
        *((to(LOOKASIDE_ENTRY_COUNTERS) + (access & 31) as usize * 8) as *mut u64) += 1;
        Some(entry)
    }
}
`;

const snake = (name) => upper(name).toLowerCase();
const C_FUNCTIONS = `/* functions of the core, imported from the module "nestwalk" */
#ifdef __wasm__
#define NESTWALK_IMPORT(name) __attribute__((import_module("nestwalk"), import_name(name)))
${FUNCTIONS.map(
  ([name, parameters, result]) =>
    `NESTWALK_IMPORT("${name}") extern ${C_TYPES[result]} nestwalk_${snake(name)}(${
      parameters.map((p) => `uint32_t ${p}`).join(", ") || "void"
    });`,
).join("\n")}
#endif
`;
const RUST_FUNCTIONS = `// functions of the core, imported from the module "nestwalk"
#[cfg(target_arch = "wasm32")]
#[link(wasm_import_module = "nestwalk")]
unsafe extern "C" {
${FUNCTIONS.map(
  ([name, parameters, result]) =>
    `    #[link_name = "${name}"]\n    pub fn ${snake(name)}(${parameters
      .map((p) => `${p === "type" ? "kind" : p}: u32`)
      .join(", ")})${RUST_RESULTS[result]};`,
).join("\n")}
}
`;
