/** Made by page/plotly-slices.ts. */
declare module "virtual:plotly-slices" {
  export const slices: readonly (() => unknown)[];
}
