import { el } from "./dom.js";
import type { Look } from "./engine/messages.js";
import { grouped } from "./format.js";

/** Accesses of a trace, where it says how many. */
export function accessesOf({ totals }: Look): number | undefined {
  return totals && totals.fetches + totals.reads + totals.writes;
}

/** What a trace says of itself, in a few lines. */
export function facts(name: string, look: Look): Node[] {
  const { format, recorded } = look;
  const accesses = accessesOf(look);
  const played = recorded.tables === false;
  const rows: [string, string | undefined][] = [
    ["Format", format === "nwt" ? "nestwalk" : format],
    ["Accesses", accesses === undefined ? undefined : grouped(accesses)],
    ["Program", text(recorded.program)],
    ["Guest", [text(recorded.guest), text(recorded.kernel)].filter(Boolean).join(", ") || undefined],
    [
      "Page tables",
      played
        ? "none recorded: a stand-in for the Linux kernel plays them"
        : "recorded, with every change the guest made",
    ],
  ];
  return [
    el("p", { class: "file" }, name),
    el(
      "dl",
      {},
      ...rows.flatMap(([term, value]) =>
        value === undefined ? [] : [el("dt", {}, term), el("dd", {}, value)],
      ),
    ),
  ];
}

/** A text of the header, which anybody may have written. */
function text(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const whole = typeof value === "string" ? value : JSON.stringify(value);
  return whole.length > 240 ? `${whole.slice(0, 239)}…` : whole;
}
