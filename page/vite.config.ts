import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";
import { generators, traceFormats } from "../dist/index.js";
import { type PageColors, pageColors } from "../dist/plot/index.js";
import { plotlySlices } from "./plotly-slices.js";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The colours of the figures as CSS variables, light and dark. */
function colours(): Plugin {
  const variables = (of: PageColors) => Object.entries(of).map(([name, value]) => `--${name}:${value}`);
  const { light, dark } = pageColors;
  const css = `:root{${variables(light).join(";")}}@media(prefers-color-scheme:dark){:root{${variables(dark).join(";")}}}`;
  return {
    name: "colours",
    transformIndexHtml: () => [{ tag: "style", children: css, injectTo: "head" }],
  };
}

/** The module `virtual:choices`: what the form offers of traces, without the code that reads and computes them. */
function choices(): Plugin {
  const id = "virtual:choices";
  const offered = {
    traceFormats,
    generators: generators.map(({ name, what, tables, takes }) => ({ name, what, tables, takes })),
  };
  return {
    name: "choices",
    resolveId: (asked) => (asked === id ? `\0${id}` : undefined),
    load: (asked) =>
      asked === `\0${id}`
        ? Object.entries(offered)
            .map(([name, value]) => `export const ${name} = ${JSON.stringify(value)};`)
            .join("\n")
        : undefined,
  };
}

/** The page: static files under a relative base, which any server can give. */
export default defineConfig({
  root: at("."),
  base: "./",
  publicDir: false,
  plugins: [plotlySlices(), colours(), choices()],
  worker: { format: "es" },
  build: {
    outDir: at("../build/page"),
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2000,
  },
  server: { fs: { allow: [at("..")] } },
});
