import { comparisonHeading } from "../../report/comparison.js";
import { grouped } from "../../report/numbers.js";
import { printable } from "../../report/text.js";
import type { Result } from "../../result.js";
import { contextOf } from "../context.js";
import { comparesTechniques, crossoverFigure, tableUpdateRate } from "../crossover.js";
import { type Figure, type FigureOptions, withoutTitle } from "../figure.js";
import { resultFigures, uniqueIds } from "../result-figures.js";
import { template } from "../theme.js";
import { type Sweep, varyFigures } from "../vary.js";
import { commandOf } from "./command.js";
import { Html, html, json } from "./html.js";
import { reportScript } from "./script.js";
import {
  comparisonSection,
  definitions,
  figureElement,
  lawsSection,
  machinesSection,
  traceSection,
} from "./sections.js";
import { reportStyle } from "./style.js";

export interface ReportContent {
  /** One result, or those of a comparison with keys varied. */
  result: Result | ReportSweep;
  /** Text of plotly.min.js, which the report then holds. */
  plotly: string;
  /** The command line that gives the result again; default: what the result says was asked. */
  command?: string;
  /** Its figures for the space they are given; default: those of the result. Their data must not depend on the space. */
  figures?: (options: FigureOptions) => readonly Figure[];
}

/** What a comparison with keys varied gives. */
export interface ReportSweep extends Sweep {
  nestwalk: string;
  config: Record<string, unknown>;
}

/** Figures of a report are laid out for a page and for a phone. */
const WIDE = 760;
const NARROW = 340;
/** Most figures that a report draws of a comparison with keys varied. */
const MOST_VARIED = 12;

/**
 * A page that stands by itself: opens offline, asks nothing of anyone, holds the result, and is the same bytes for the same
 * result.
 */
export function reportHtml(content: ReportContent): string {
  const { result } = content;
  const sweep = "points" in result ? result : undefined;
  const first = sweep ? sweep.points[0]?.result : (result as Result);
  if (first === undefined) throw new RangeError("a report needs at least one result");
  const make = content.figures ?? ((options: FigureOptions) => reportFigures(result, options));
  const [wide, narrow] = [WIDE, NARROW].map((width) => uniqueIds(make({ width })).map(withoutTitle)) as [
    Figure[],
    Figure[],
  ];
  const command = content.command ?? commandOf(result.config, first.trace);
  const title = comparisonHeading(first)[0]!.text;
  const context = contextOf(first);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="nestwalk ${result.nestwalk}">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<title>nestwalk: ${printable(first.trace.file)}</title>
<style>${new Html(reportStyle)}</style>
</head>
<body>
<header><h1>${title}</h1>
${comparisonHeading(first)
  .slice(1)
  .map(
    ({ text }) => html`<p class="muted">${text}</p>
`,
  )}${sweep ? html`<p>Varied: ${sweep.axes.map(({ key, values }) => `${key} = ${values.join(", ")}`).join("; ")}.</p>` : ""}
<nav aria-label="Contents"><ul>
${sweep ? "" : html`<li><a href="#comparison">Comparison</a></li>`}
<li><a href="#figures-heading">Figures</a></li><li><a href="#trace">Trace</a></li><li><a href="#machines">Machines</a></li><li><a href="#laws">Laws</a></li><li><a href="#again">Run it again</a></li>
</ul></nav></header>
<main>
${sweep ? "" : comparisonSection(first)}
<section aria-labelledby="figures-heading"><h2 id="figures-heading">Figures</h2>
<noscript><p>The figures are drawn by a script; their numbers are in the tables below each.</p></noscript>
${wide.map((figure) => figureElement(figure, context))}</section>
${traceSection(first)}
${machinesSection(first.machines)}
${sweep ? sweepLaws(sweep) : lawsSection(first)}
${againSection(command, result, first, plotlyVersion(content.plotly))}
</main>
<footer>Written by nestwalk ${result.nestwalk}.</footer>
<script type="application/json" id="result">${json(result)}</script>
<script type="application/json" id="figures">${json({
    figures: wide.map(({ id, alt, data, layout, config }, i) => ({
      id,
      alt,
      data,
      wide: bare(layout),
      narrow: bare(narrow[i]?.layout ?? layout),
      config: { ...config, responsive: false },
    })),
    templates: { light: template("light"), dark: template("dark") },
  })}</script>
<script>${new Html(content.plotly)}</script>
<script>${new Html(reportScript)}</script>
</body>
</html>
`.text;
}

/** The figures that a report shows of a result, or of a comparison with keys varied. */
export function reportFigures(result: Result | ReportSweep, options: FigureOptions = {}): Figure[] {
  if (!("points" in result)) return resultFigures(result, options);
  const figures = varyFigures(result, options).slice(0, MOST_VARIED);
  const results = result.points.map((point) => point.result);
  const rates = new Set(results.map(({ machines }) => (machines[0] ? tableUpdateRate(machines[0]) : 0)));
  return rates.size > 1 && results.every(comparesTechniques)
    ? [crossoverFigure(results, options), ...figures]
    : figures;
}

/** A layout without what the script sets. */
function bare({
  template: _t,
  width: _w,
  autosize: _a,
  ...layout
}: Record<string, unknown>): Record<string, unknown> {
  return layout;
}

function sweepLaws({ points }: ReportSweep): Html {
  const machines = points.flatMap(({ result }) => result.machines);
  const laws = [
    ...machines.flatMap((machine) => machine.laws),
    ...points.flatMap(({ result }) => result.laws),
  ];
  const broken = laws.filter(({ holds }) => !holds);
  const mismatches = machines.reduce((sum, { oracle }) => sum + oracle.mismatches, 0);
  return html`<section aria-labelledby="laws"><h2 id="laws">Laws</h2>
<p class="${broken.length === 0 ? "good" : "bad"}">Conservation laws of ${points.length} results: ${broken.length === 0 ? `all ${grouped(laws.length)} hold` : `${broken.length} of ${grouped(laws.length)} broken`}.</p>
${broken.map(({ name, detail }) => html`<p class="bad">${name}: ${detail}</p>`)}
<p class="${mismatches === 0 ? "good" : "bad"}">Oracle: ${grouped(mismatches)} mismatches.</p></section>
`;
}

function againSection(
  command: string | undefined,
  result: Result | ReportSweep,
  first: Result,
  plotly: string,
): Html {
  const how =
    command === undefined
      ? html`<p>The result came from the library. Each machine's configuration, kept in the result as <code>machines[].config</code>, makes <code>nestwalk run TRACE --config FILE</code> replay it.</p>`
      : html`<pre><code>${command.split(" ").map((word, i) => html`${i === 0 ? "" : " "}<span>${word}</span>`)}</code></pre>`;
  return html`<section aria-labelledby="again"><h2 id="again">Run it again</h2>
${how}
${definitions([
  ["nestwalk", result.nestwalk],
  ["trace, SHA-256 of the file", first.trace.sha256],
  ["trace, SHA-256 of the records", first.trace.streamSha256],
  ["seed", [...new Set(first.machines.map(({ config }) => config.seed))].join(", ")],
  ["drawn by", plotly],
])}
<p>The same trace and the same configuration give the same bytes, on every engine.</p>
<p><button type="button" id="save">Save the result as JSON</button></p></section>
`;
}

/** As the first line of the file says it. */
function plotlyVersion(source: string): string {
  return /^\/\* (plotly\.js [\w.-]+)/.exec(source)?.[1] ?? "plotly.js";
}
