import type { Figure, FigureOptions } from "nestwalk/plot";
import Plotly from "plotly.js-dist";

const dark = matchMedia("(prefers-color-scheme: dark)");

/** A figure of nestwalk/plot, drawn as wide as its place and in the colours of the notebook, and again when those change. */
export function draw(figure: (options: FigureOptions) => Figure): HTMLElement {
  const place = document.createElement("div");
  place.setAttribute("role", "img");
  place.style.minHeight = `${figure({}).layout.height}px`;
  let width = 0;
  const show = () => {
    const { data, layout, config, alt } = figure({ width, theme: dark.matches ? "dark" : "light" });
    place.setAttribute("aria-label", alt);
    const see = { paper_bgcolor: "transparent", plot_bgcolor: "transparent" };
    Plotly.react(place, data, { ...layout, ...see }, { ...config, displayModeBar: false });
  };
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry!.contentRect.width);
    if (now === width || now === 0) return;
    width = now;
    show();
  }).observe(place);
  dark.addEventListener("change", () => place.isConnected && show());
  return place;
}
