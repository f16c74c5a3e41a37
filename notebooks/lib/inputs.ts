import "@observablehq/inputs/dist/index.css";
import "./inputs.css";
import * as inputs from "@observablehq/inputs";

export { button, checkbox, file, form, radio, select, text, toggle } from "@observablehq/inputs";

/** The slider of a range has the label that its number has. */
export function range(extent: [number, number], options: { label: string }): HTMLElement {
  const element: HTMLElement = inputs.range(extent, options);
  element.querySelector("input[type=range]")?.setAttribute("aria-label", options.label);
  return element;
}
