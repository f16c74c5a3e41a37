import type { VaryResult } from "nestwalk";
import { comparisonHeading, reportFigures, varyHeading, varyRows } from "nestwalk/plot";
import { el } from "../dom.js";
import type { Parts } from "./parts.js";
import { table } from "./table.js";

/** Results of a comparison with keys varied: curves, a table of all, and each of them to be looked at. */
export async function showSweep(parts: Parts, sweep: VaryResult, below: () => HTMLElement): Promise<boolean> {
  const [place, draw] = parts.figures((options) => reportFigures(sweep, options));
  const [[first, ...columns], ...rows] = varyRows(sweep) as [string[], ...string[][]];
  const all = () =>
    table(
      "Every setting",
      columns,
      rows.map(([label, ...cells]) => ({ label: label!, cells, strong: label !== "" })),
      first,
    );
  const added = await parts.add(
    () => heading(sweep),
    below,
    place,
    all,
    () => closer(parts, sweep),
  );
  return added && draw();
}

function heading(sweep: VaryResult): HTMLElement {
  const { title, verdict, good } = varyHeading(sweep);
  const [, ...lines] = comparisonHeading(sweep.points[0]!.result);
  const varied = sweep.axes.map(({ key, values }) => `${key} = ${values.join(", ")}`).join("; ");
  return el(
    "section",
    { class: "summary", "aria-labelledby": "result-title" },
    el("h2", { id: "result-title" }, title),
    ...[...lines.map(({ text }) => text), `Varied: ${varied}.`].map((line) =>
      el("p", { class: "origin" }, line),
    ),
    el("ul", { class: "verdicts" }, el("li", { class: good ? "good" : "bad" }, verdict)),
  );
}

/** One setting with all that a result of its own has. */
function closer(parts: Parts, { points }: VaryResult): HTMLElement {
  const box = el("div", { class: "one-setting" });
  const names = points.map(({ at }) =>
    Object.entries(at)
      .map(([key, value]) => `${key} = ${value}`)
      .join(", "),
  );
  const select = el(
    "select",
    { name: "setting" },
    el("option", { value: "" }, "none"),
    ...names.map((name, i) => el("option", { value: i }, name)),
  );
  let shown: Parts | undefined;
  select.addEventListener("change", () => {
    shown?.close();
    box.replaceChildren();
    if (select.value === "") return;
    shown = parts.within(box);
    void shown.result(points[Number(select.value)]!.result);
  });
  return el(
    "section",
    { "aria-label": "One setting" },
    el("label", { class: "field closer" }, "Look closer at one setting", select),
    box,
  );
}
