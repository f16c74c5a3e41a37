import type { OptionNaming } from "nestwalk";
import type { Labels } from "./messages.js";

/** Options by their labels; assignments, which are lines of a field, by what they say. */
export function byLabel(labels: Labels): OptionNaming {
  return (option, value) => {
    if ((option === "set" || option === "vary") && value !== undefined) return `“${value}”`;
    return value === undefined ? `“${labels[option]}”` : `“${labels[option]}”: ${value}`;
  };
}
