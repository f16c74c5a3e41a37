import binaryen from "binaryen";

/** What a patched v86 calls. */
export interface Hooks {
  /** A walk begins: address, for writing, by ring 3, from compiled code, with side effects. */
  walkBegins(address: number, write: number, user: number, jit: number, effects: number): void;
  /** It is done: the entry for v86's TLB, or 0 after a page fault. */
  walkEnds(entry: number): void;
  /** v86 drops its TLB: all of it (1), or all but global pages (0). */
  flushed(all: number): void;
  invlpg(address: number): void;
}

/** Features that v86 is compiled with. */
const FEATURES = [
  "BulkMemory",
  "BulkMemoryOpt",
  "CallIndirectOverlong",
  "Multivalue",
  "MutableGlobals",
  "NontrappingFPToInt",
  "ReferenceTypes",
  "SIMD128",
  "SignExt",
] as const;

const { i32, none } = binaryen;

const IMPORTS: Record<keyof Hooks, number> = { walkBegins: 5, walkEnds: 1, flushed: 1, invlpg: 1 };
/** Exported beside v86's own functions. */
export const LOOKUPS = "nestwalk_lookups";

/** One function of the module, by the end of its name: Rust puts crate and hash before it. */
function functionNamed(module: binaryen.Module, ending: string, params: number, results: number) {
  const found = [];
  for (let i = 0; i < module.getNumFunctions(); ++i) {
    const info = binaryen.getFunctionInfo(module.getFunctionByIndex(i));
    if (info.name === ending || info.name.endsWith(`${ending.length}${ending}`)) found.push(info);
  }
  const [info] = found;
  const takes = info && binaryen.expandType(info.params).length;
  const gives = info && binaryen.expandType(info.results).length;
  if (info === undefined || found.length > 1 || takes !== params || gives !== results)
    throw new Error(
      `this v86.wasm has no function ${ending} of ${params} parameters in its name section: use v86 0.5.462, or look in its src/rust/cpu/cpu.rs for what took its place`,
    );
  return info;
}

/** Puts calls of `hooks` into a release build of v86. Throws where the build is not one that it knows. */
export function patch(wasm: Uint8Array): Uint8Array<ArrayBuffer> {
  const features = FEATURES.reduce((all, name) => all | binaryen.Features[name], 0);
  const module = binaryen.readBinaryWithFeatures(wasm, features);
  try {
    for (const [name, count] of Object.entries(IMPORTS))
      module.addFunctionImport(
        `nestwalk_${name}`,
        "nestwalk",
        name,
        binaryen.createType(Array<binaryen.Type>(count).fill(i32)),
        none,
      );
    const call = (name: keyof Hooks, ...operands: binaryen.ExpressionRef[]) =>
      module.call(`nestwalk_${name}`, operands, none);
    const parameter = (i: number) => module.local.get(i, i32);

    /* The walk keeps its body under another name; under its own there is one that tells before and after. */
    const walk = functionNamed(module, "do_page_walk", 5, 1);
    const inner = `${walk.name}_own`;
    module.removeFunction(walk.name);
    module.addFunction(inner, walk.params, walk.results, walk.vars, walk.body);
    const operands = () => [0, 1, 2, 3, 4].map(parameter);
    module.addFunction(
      walk.name,
      walk.params,
      walk.results,
      [i32],
      module.block(
        null,
        [
          call("walkBegins", ...operands()),
          module.local.set(5, module.call(inner, operands(), i32)),
          call("walkEnds", parameter(5)),
          module.local.get(5, i32),
        ],
        i32,
      ),
    );

    const prepend = (ending: string, params: number, hook: binaryen.ExpressionRef) => {
      const { name, params: types, results, vars, body } = functionNamed(module, ending, params, 0);
      module.removeFunction(name);
      module.addFunction(name, types, results, vars, module.block(null, [hook, body], none));
    };
    prepend("clear_tlb", 0, call("flushed", module.i32.const(0)));
    prepend("full_clear_tlb", 0, call("flushed", module.i32.const(1)));
    prepend("instr16_0F01_7_mem", 1, call("invlpg", parameter(0)));
    addLookups(module);
    return module.emitBinary() as Uint8Array<ArrayBuffer>;
  } finally {
    module.dispose();
  }
}

/** `nestwalk_lookups(address, step, mask, n)`: n translations by v86's own code, a loop inside wasm; returns their sum. */
function addLookups(module: binaryen.Module): void {
  const { name } = functionNamed(module, "translate_address_system_read_js", 1, 1);
  const get = (i: number) => module.local.get(i, i32);
  const [address, step, mask, n, offset, sum] = [0, 1, 2, 3, 4, 5] as const;
  module.addFunction(
    LOOKUPS,
    binaryen.createType([i32, i32, i32, i32]),
    i32,
    [i32, i32],
    module.block(
      null,
      [
        module.loop(
          "next",
          module.block(null, [
            module.local.set(
              sum,
              module.i32.add(get(sum), module.call(name, [module.i32.add(get(address), get(offset))], i32)),
            ),
            module.local.set(offset, module.i32.and(module.i32.add(get(offset), get(step)), get(mask))),
            module.local.set(n, module.i32.sub(get(n), module.i32.const(1))),
            module.br("next", get(n)),
          ]),
        ),
        get(sum),
      ],
      i32,
    ),
  );
  module.addFunctionExport(LOOKUPS, LOOKUPS);
}
