import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Plugin } from "vite";

const ID = "virtual:plotly-slices";

/** The types of traces that the figures are made of, beside "scatter", which is always there. */
const TRACES = ["bar", "box", "heatmap", "histogram"];

/**
 * The module `virtual:plotly-slices`: the part of plotly's bundle that the figures need, taken apart so that it can be
 * started piece by piece, and that draws piece by piece. Evaluated at once, the bundle keeps a page from answering for a
 * third of a second.
 *
 * Its export `slices` is a list of functions, to be called one after the other; the last one gives the library.
 */
export function plotlySlices(): Plugin {
  return {
    name: "plotly-slices",
    resolveId: (id) => (id === ID ? `\0${ID}` : undefined),
    load: (id) => {
      if (id !== `\0${ID}`) return undefined;
      const file = createRequire(import.meta.url).resolve("plotly.js-dist");
      return { code: sliced(readFileSync(file, "utf8")), moduleSideEffects: false };
    },
  };
}

const START = "var Plotly = (() => {";
const END = "  return require_index();\n})();";
/** A CommonJS module in the bundle: a function that starts it once, and its path. */
const MODULE = /^ {2}var (require_\w+) = __commonJS\(\{\s*"([^"]+)"/gm;
const LAZY = /^ {2}var \w+ = (?=__(?:commonJS|esm)\(\{)/gm;

/** Where the steps of a drawing are called one after the other; each may be asynchronous. */
const DRAWING = "plotDone = Lib.syncOrAsync(seq, gd3)";
const PACED = "plotDone = Lib.syncOrAsync(seq.flatMap((step) => [step, betweenSteps]), gd3)";
/** Lets the browser answer the user between two steps when it has been some milliseconds since it could. */
const BETWEEN = `let answered = 0;
const betweenSteps = () => performance.now() - answered < 8 ? undefined : new Promise((resolve) => setTimeout(() => {
  answered = performance.now();
  resolve();
}));`;

/**
 * The bundle's text as a module of its own. Its parts are declared free of side effects, so that a bundler leaves out
 * what no slice needs. Throws an error where plotly is no longer bundled like this.
 */
export function sliced(bundle: string): string {
  const from = bundle.indexOf(START);
  const to = bundle.lastIndexOf(END);
  if (from < 0 || to < 0)
    throw new Error("plotly.js-dist is no longer bundled as page/plotly-slices.ts expects");
  const body = bundle.slice(from + START.length, to);
  if (!body.includes(DRAWING))
    throw new Error(`plotly.js-dist no longer says ${DRAWING}, as page/plotly-slices.ts expects`);
  const modules = modulesOf(body);
  const byPath = (path: string): string => {
    const found = modules.find((module) => module.path === path);
    if (!found) throw new Error(`plotly.js-dist holds no ${path}, which page/plotly-slices.ts expects`);
    return found.name;
  };
  const core = byPath("lib/core.js");
  const traces = TRACES.map((trace) => byPath(`lib/${trace}.js`));
  const slices = startOrder(modules, [core, ...traces]);
  return [
    bundle.slice(0, bundle.indexOf("*/") + 2).replace("/**", "/*!"),
    ...(bundle.slice(to).match(/\/\*![\s\S]*?\*\//g) ?? []),
    BETWEEN,
    body.replace(LAZY, "$&/* @__PURE__ */ ").replaceAll(DRAWING, PACED),
    `const last = () => { const plotly = ${core}(); plotly.register([${traces.map((name) => `${name}()`)}]); return plotly; };`,
    `export const slices = [${slices.join(", ")}, last];`,
  ].join("\n");
}

interface Module {
  name: string;
  path: string;
  /** Places of the modules that it names, in the list of all. */
  needs: number[];
}

function modulesOf(body: string): Module[] {
  const found = [...body.matchAll(MODULE)].map(({ 1: name, 2: path, index }) => ({
    name: name!,
    path: path!,
    index,
  }));
  const place = new Map(found.map(({ name }, i) => [name, i]));
  return found.map(({ name, path, index }, i) => {
    const text = body.slice(index, found[i + 1]?.index);
    const named = [...text.matchAll(/\b(require_\w+)\(\)/g)].map((match) => place.get(match[1]!));
    return { name, path, needs: named.filter((at) => at !== undefined) };
  });
}

/**
 * Modules in the order in which `entries` would start them: that of the bundle, which holds each behind those that it needs.
 * Where some need each other in a circle, only the last of them is in the list, and starts the others as it would.
 */
function startOrder(modules: readonly Module[], entries: readonly string[]): string[] {
  const needed = new Set<number>();
  const inCircle = new Set<number>();
  const visit = (at: number): void => {
    if (needed.has(at)) return;
    needed.add(at);
    for (const other of modules[at]!.needs) {
      visit(other);
      for (let between = at; between < other; ++between) inCircle.add(between);
    }
  };
  for (const entry of entries) visit(modules.findIndex(({ name }) => name === entry));
  return modules.filter((_, i) => needed.has(i) && !inCircle.has(i)).map(({ name }) => name);
}
