import { readFile } from "node:fs/promises";

/** plotly.js, minified, with its licence: what the report holds and the PNGs are drawn by. */
export const plotlyPath = new URL("../../../build/plotly.min.js", import.meta.url);

export async function plotlySource(): Promise<string> {
  return readFile(plotlyPath, "utf8");
}
