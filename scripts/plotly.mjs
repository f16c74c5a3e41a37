/** Writes build/plotly.min.js: plotly.js, minified, its licence in front. Once for a version of plotly and of esbuild. */
import { closeSync, existsSync, openSync, readFileSync, readSync, renameSync, writeFileSync } from "node:fs";
import { version as esbuild, transform } from "esbuild";

const HOME = "node_modules/plotly.js-dist";
const TARGET = "build/plotly.min.js";

export async function buildPlotly() {
  const { version } = JSON.parse(readFileSync(`${HOME}/package.json`, "utf8"));
  const first = `/* plotly.js ${version}, minified by esbuild ${esbuild}`;
  if (existsSync(TARGET) && firstBytes(TARGET, first.length) === first) return;
  const licence = readFileSync(`${HOME}/LICENSE`, "utf8").trim().replaceAll("*/", "* /");
  const { code } = await transform(readFileSync(`${HOME}/plotly.js`, "utf8"), {
    minify: true,
    legalComments: "inline",
    charset: "utf8",
  });
  /* Into a page, the text must not end the element that holds it. */
  const safe = code.replace(/<\/(script)/gi, "<\\/$1");
  writeFileSync(`${TARGET}.${process.pid}`, `${first}\n\n${licence} */\n${safe}`);
  renameSync(`${TARGET}.${process.pid}`, TARGET);
}

function firstBytes(path, length) {
  const file = openSync(path);
  const bytes = Buffer.alloc(length);
  readSync(file, bytes, 0, length, 0);
  closeSync(file);
  return bytes.toString();
}
