import { techniqueName } from "../../config/technique.js";
import { type ComparisonRow, comparisonRows, comparisonVerdicts } from "../../report/comparison.js";
import { counted, grouped } from "../../report/numbers.js";
import { headerText, printable } from "../../report/text.js";
import type { Law, MachineResult, Result } from "../../result.js";
import type { Cell, Figure, Table } from "../figure.js";
import { leavesOf, machineNames } from "../series.js";
import { type Html, html } from "./html.js";

/** The parts of a report, each a piece of HTML. */

export function comparisonSection(result: Result): Html {
  const [head, ...rows] = comparisonRows(result);
  return html`<section aria-labelledby="comparison"><h2 id="comparison">Comparison</h2>
<div class="scroll" tabindex="0" role="region" aria-labelledby="comparison"><table>
<thead><tr><th scope="col">machine</th>${(head?.cells ?? []).map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${rows.map((row) => rowOf(row, result.machines.length))}</tbody></table></div>
${verdicts(result)}</section>
`;
}

function rowOf({ label, indent, cells, tone }: ComparisonRow, machines: number): Html {
  const head = html`<th scope="row" class="in${indent}">${label}</th>`;
  if (cells === undefined) return html`<tr>${head}<td colspan="${machines}"></td></tr>`;
  return html`<tr class="${tone === "head" ? "strong" : ""}">${head}${cells.map((cell) => html`<td>${cell}</td>`)}</tr>
`;
}

export function verdicts(result: Result): Html {
  return html`${comparisonVerdicts(result).map(
    ({ tone, text }) => html`<p class="${tone}">${text.trim()}</p>
`,
  )}`;
}

/** A figure with its text alternative and its numbers; drawn by the report's script. */
export function figureElement(figure: Figure, context: string): Html {
  const { id, title, subtitle, table } = figure;
  const beyond = subtitle?.startsWith(context) ? subtitle.slice(context.length).replace(/^; /, "") : subtitle;
  const note = beyond ? html` <span class="muted">${beyond}</span>` : "";
  return html`<figure aria-labelledby="title-${id}">
<figcaption id="title-${id}">${title}.${note}</figcaption>
<div class="plot" id="plot-${id}" style="min-height:${figure.layout.height as number}px"></div>
<details><summary>The numbers of this figure</summary>${dataTable(table, title)}</details>
</figure>
`;
}

/** A table of exact numbers. */
export function dataTable({ columns, rows }: Table, caption: string): Html {
  const [first, ...others] = columns;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table>
<thead><tr><th scope="col">${first ?? ""}</th>${others.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${rows.map(
    ([
      head,
      ...cells
    ]) => html`<tr><th scope="row">${say(head ?? null)}</th>${cells.map((cell) => html`<td>${say(cell)}</td>`)}</tr>
`,
  )}</tbody></table></div>`;
}

function say(cell: Cell): string {
  if (cell === null) return "";
  if (typeof cell === "string") return cell;
  return Number.isInteger(cell) ? grouped(cell) : String(cell);
}

export function traceSection({ trace }: Result): Html {
  const rows: [string, string][] = [
    ["file", printable(trace.file)],
    ["format", trace.format],
    ["accesses", grouped(trace.accesses)],
    ["events", grouped(trace.events)],
    ...(trace.warmup
      ? [["warm-up, not counted", counted(trace.warmup, "access", "accesses")] as [string, string]]
      : []),
    ...(trace.truncated
      ? [
          [
            "cut short",
            `at byte ${grouped(trace.truncated.offset)}, ${counted(trace.truncated.events, "whole event")}`,
          ] as [string, string],
        ]
      : []),
    ["SHA-256 of the file", trace.sha256],
    ["SHA-256 of the records", trace.streamSha256],
    ...(trace.played ? [["kernel played", trace.played.what] as [string, string]] : []),
    ...Object.entries(trace.recorded)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]): [string, string] => [words(name), listOr(value)]),
  ];
  return html`<section aria-labelledby="trace"><h2 id="trace">Trace</h2>${definitions(rows)}</section>
`;
}

export function definitions(rows: readonly (readonly [string, string])[]): Html {
  return html`<dl>${rows.map(
    ([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>
`,
  )}</dl>`;
}

const NAMES: Readonly<Record<string, string>> = {
  cpu: "CPU",
  ramMiB: "RAM, MiB",
  source: "converted from",
  tables: "page tables recorded",
};

/** "pageSizePolicy" as "page size policy". */
function words(name: string): string {
  if (Object.hasOwn(NAMES, name)) return NAMES[name]!;
  return name.replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`);
}

/** What a header holds under a name: lists and objects as what is in them. */
function listOr(value: unknown): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  const of = (one: unknown) => headerText(one, 2000);
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value.map(of).join("; ");
  if (typeof value !== "object" || value === null || Array.isArray(value)) return of(value);
  const parts = Object.entries(value).map(([name, part]) => `${printable(name)} ${of(part)}`);
  return headerText(parts.join("; "), 2000);
}

export function machinesSection(machines: readonly MachineResult[]): Html {
  const names = machineNames(machines);
  const leaves = machines.map(({ config }) => leavesOf(config));
  const keys = [...new Set(leaves.flatMap((map) => [...map.keys()]))];
  const values = (key: string) => leaves.map((map) => map.get(key) ?? "");
  const differing = keys.filter((key) => new Set(values(key)).size > 1);
  const table = (list: readonly string[]): Table => ({
    columns: ["key", ...names],
    rows: list.map((key) => [key, ...values(key)]),
  });
  return html`<section aria-labelledby="machines"><h2 id="machines">Machines</h2>
${differing.length > 0 ? html`<p>What sets them apart:</p>${dataTable(table(differing), "Keys in which the machines differ")}` : ""}
<details><summary>All ${keys.length} keys of the configuration</summary>${dataTable(table(keys), "All keys of the configuration")}</details>
</section>
`;
}

export function lawsSection(result: Result): Html {
  const groups: [string, readonly Law[]][] = [
    ...result.machines.map((machine): [string, readonly Law[]] => [techniqueName(machine), machine.laws]),
    ["all machines", result.laws],
  ];
  const all = groups.reduce((sum, [, laws]) => sum + laws.length, 0);
  return html`<section aria-labelledby="laws"><h2 id="laws">Laws</h2>
<p>Each law compares figures that were counted apart from each other; a result that breaks one contradicts itself.</p>
${verdicts(result)}
<details><summary>All ${all} laws with their figures</summary>${groups.map(
    ([who, laws]) =>
      html`<h3>${who}</h3><ul>${laws.map(
        ({
          name,
          holds,
          detail,
        }) => html`<li class="${holds ? "" : "bad"}">${holds ? "holds" : "broken"}: ${name}: ${detail}</li>
`,
      )}</ul>`,
  )}</details></section>
`;
}
