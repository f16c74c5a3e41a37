/** What the page uses of plotly. */
export interface Plotly {
  react(element: HTMLElement, data: unknown[], layout: object, config: object): Promise<unknown>;
  purge(element: HTMLElement): void;
}

/** Longest stretch of work between two chances to answer the user, in milliseconds; a slice can make it longer. */
const STRETCH_MS = 12;

let library: Promise<Plotly> | undefined;

/** Plotly, loaded and started in small steps the first time that it is wanted. */
export function plotly(): Promise<Plotly> {
  library ??= start().then(warmed);
  return library;
}

async function start(): Promise<Plotly> {
  const { slices } = await import("virtual:plotly-slices");
  let last: unknown;
  let since = performance.now();
  for (const slice of slices) {
    last = slice();
    if (performance.now() - since < STRETCH_MS) continue;
    await breath();
    since = performance.now();
  }
  return last as Plotly;
}

/** Draws nothing, and then little: what both need is then compiled, a part in each task. */
async function warmed(library: Plotly): Promise<Plotly> {
  const bars = {
    type: "bar",
    orientation: "h",
    x: [1, 2],
    y: ["a", "b"],
    marker: { pattern: { shape: "/" } },
  };
  const place = document.createElement("div");
  place.className = "visually-hidden";
  document.body.append(place);
  for (const data of [[], [bars]]) {
    await breath();
    await library.react(place, data, { width: 300, height: 300 }, { staticPlot: true });
  }
  library.purge(place);
  place.remove();
  return library;
}

/** Lets the browser do what waits: input, drawing. */
export function breath(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
