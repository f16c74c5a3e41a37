import type { Explanation, GridCell, ReferenceStep } from "../explain/types.js";
import { counted, fixed } from "../report/numbers.js";
import type { Figure, FigureOptions } from "./figure.js";
import { framed, label, roomOf } from "./figure.js";
import { gridLayout, guestLabel, hostLabel } from "./walk-grid.js";

export interface ExplainedWalkOptions extends FigureOptions {
  /** Which of the access's walks; default the last. */
  walk?: number;
}

/** Where references are found, the nearest first, and how dark its squares are. */
const SOURCES = [
  ["entryCache", "PWC", 0.1],
  ["L1D", "L1D", 0.25],
  ["L2", "L2", 0.5],
  ["L3", "L3", 0.75],
  ["memory", "memory", 1],
  ["flat", "table", 0.5],
] as const;

/** One walk, square by square: in which order entries were read, where each was found and what it cost; and why others were not. */
export function explainedWalkFigure(access: Explanation, options: ExplainedWalkOptions = {}): Figure {
  const nth = options.walk ?? access.walks.length - 1;
  const walk = access.walks[nth];
  if (walk === undefined)
    throw new RangeError(
      access.walks.length === 0
        ? `the access to ${access.accesses[0]?.va} made no walk`
        : `the access to ${access.accesses[0]?.va} made ${counted(access.walks.length, "walk")}; there is no walk ${nth}`,
    );
  const walked = access.accesses.find(
    ({ firstStep, lastStep }) => firstStep <= walk.firstStep && walk.firstStep <= lastStep,
  );
  const { kind = "access", va = "?" } = walked ?? access.accesses[0] ?? {};
  const { technique, format, hostLevels } = access.state;
  const name = technique === "nested" ? (format ?? technique) : technique;
  const rows = walk.grid.map(({ guestLevel }) => guestLabel(guestLevel, name));
  const hosts = [...new Set(walk.grid.flatMap(({ cells }) => cells.map(({ hostLevel }) => hostLevel)))].sort(
    (a, b) => b - a,
  );
  const columns = hosts.map((h) => hostLabel(h, hostLevels));
  const grid = walk.grid.map(({ cells }) => hosts.map((h) => cells.find(({ hostLevel }) => hostLevel === h)));
  const stepOf = (cell: GridCell | undefined): ReferenceStep | undefined => {
    const step = cell?.step === undefined ? undefined : access.steps[cell.step];
    return step?.kind === "reference" ? step : undefined;
  };
  const { narrow } = roomOf(options);
  const { height, margin, layout } = gridLayout(rows, columns, options);
  const small = narrow ? 9 : 11;
  return framed(
    {
      id: `explained-walk${nth === 0 ? "" : `-${nth + 1}`}`,
      title: `${name}: ${kind} of ${va}, walked in ${counted(walk.references, "reference")} and ${counted(walk.cycles, "cycle")}`,
      subtitle: `${access.walks.length > 1 ? `Walk ${nth + 1} of ${access.walks.length}. ` : ""}In each square: its turn, where the entry was found${narrow ? "" : ", cycles"}; or why it was not read. ${sayOutcome(walk.outcome)}`,
      alt: `Grid of one page walk, guest level by host level: ${sayOrder(grid, rows, columns, stepOf)}.`,
      table: {
        columns: ["turn", "guest level", "host level", "entry", "address", "value", "found in", "cycles"],
        rows: grid
          .flatMap((cells, r) => cells.map((cell, c) => ({ cell, r, c })))
          .filter(({ cell }) => cell?.step !== undefined)
          .sort((a, b) => (a.cell!.order ?? 0) - (b.cell!.order ?? 0))
          .map(({ cell, r, c }) => {
            const step = stepOf(cell);
            return [
              cell!.order ?? null,
              rows[r]!,
              columns[c]!,
              step?.name ?? null,
              step?.address ?? null,
              step?.value ?? null,
              step === undefined ? null : sourceOf(step)[1],
              step?.cycles ?? null,
            ];
          }),
      },
      data: [
        {
          type: "heatmap",
          z: grid.map((cells) => cells.map((cell) => heatOf(cell, stepOf(cell)))),
          text: grid.map((cells) => cells.map((cell) => readText(cell, stepOf(cell), narrow))),
          customdata: grid.map((cells) => cells.map((cell) => hoverText(cell, stepOf(cell)))),
          texttemplate: "%{text}",
          textfont: { size: narrow ? 9 : 12 },
          zmin: 0,
          zmax: 1,
          showscale: false,
          xgap: 2,
          ygap: 2,
          hoverongaps: false,
          hovertemplate: "%{customdata}<extra></extra>",
        },
      ],
      height,
      margin,
      layout: {
        ...layout,
        annotations: grid.flatMap((cells, r) =>
          cells.flatMap((cell, c) =>
            cell?.skippedBy === undefined || cell.step !== undefined
              ? []
              : [
                  label(cell.skippedBy.replaceAll(" ", "<br>"), {
                    x: c,
                    y: r,
                    xanchor: "center",
                    align: "center",
                    opacity: 0.75,
                    font: { size: small },
                  }),
                ],
          ),
        ),
      },
    },
    options,
  );
}

const ENDS: Readonly<Record<string, string>> = {
  pageFault: "a page fault",
  generalProtection: "a general-protection fault",
  eptViolation: "an EPT violation",
  eptMisconfig: "an EPT misconfiguration",
  nestedPageFault: "a nested page fault",
  pmlFull: "a full page-modification log",
};

function sayOutcome(outcome: string): string {
  if (outcome === "translated") return "The walk translates.";
  return `The walk ends in ${ENDS[outcome] ?? outcome}.`;
}

function sourceOf({ source }: ReferenceStep) {
  return SOURCES.find(([key]) => key === source) ?? ([source ?? "", source ?? "", 0.5] as const);
}

/** Squares that were not read are the palest. */
function heatOf(cell: GridCell | undefined, step: ReferenceStep | undefined): number | null {
  if (step !== undefined) return sourceOf(step)[2];
  return cell === undefined ? null : 0;
}

function readText(cell: GridCell | undefined, step: ReferenceStep | undefined, narrow: boolean): string {
  if (cell?.order === undefined || step === undefined) return "";
  const place = sourceOf(step)[1];
  return narrow
    ? `<b>${cell.order}</b><br>${place}`
    : `<b>${cell.order}</b><br>${place}, ${fixed(step.cycles, 0)}`;
}

function hoverText(cell: GridCell | undefined, step: ReferenceStep | undefined): string {
  if (cell === undefined) return "";
  if (step === undefined) return cell.skippedBy ?? "";
  return `${step.name ?? ""} at ${step.address ?? "?"}: ${step.value ?? "?"}<br>${sourceOf(step)[1]}, ${counted(step.cycles, "cycle")}`;
}

function sayOrder(
  grid: readonly (readonly (GridCell | undefined)[])[],
  rows: readonly string[],
  columns: readonly string[],
  stepOf: (cell: GridCell | undefined) => ReferenceStep | undefined,
): string {
  const read = grid
    .flatMap((cells, r) => cells.map((cell, c) => ({ cell, r, c })))
    .filter(({ cell }) => cell?.order !== undefined)
    .sort((a, b) => a.cell!.order! - b.cell!.order!);
  if (read.length === 0) return "nothing was read";
  return read
    .map(({ cell, r, c }) => {
      const step = stepOf(cell);
      return `${cell!.order} ${rows[r]}, ${columns[c]}${step === undefined ? "" : ` in ${sourceOf(step)[1]}`}`;
    })
    .join("; ");
}
