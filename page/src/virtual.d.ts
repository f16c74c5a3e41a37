/** Made by page/plotly-slices.ts. */
declare module "virtual:plotly-slices" {
  export const slices: readonly (() => unknown)[];
}

declare module "virtual:choices" {
  export const traceFormats: typeof import("nestwalk").traceFormats;
  export const generators: Pick<import("nestwalk").Generator, "name" | "what" | "tables" | "takes">[];
}
