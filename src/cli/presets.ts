import { citedRows, defaultPreset, findPreset, type Preset, presets, profiles } from "../config/index.js";
import { brief } from "../config/nearest.js";
import { parseArguments } from "./arguments.js";
import { type Row, writeHelp, writeRows } from "./help.js";
import { type Io, UsageError } from "./io.js";
import { jsonText } from "./output.js";

export const presetsHelp = `nestwalk presets [NAME] [--json]

Lists the CPUs that can be modelled, and the profiles of hypervisors and exits, or, with NAME, every number of one of them and where it
comes from. A source that begins with "estimate" is not a published number: replace it
with --set where you know better.

  --json               as JSON: [{name, title, notes, values: [{path, value, source}]}]

Examples
  nestwalk presets
  nestwalk presets zen5
  nestwalk compare traces/sqlite.nwt --cpu zen5 --set psc.nested.entries=256
`;

export async function presetsCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArguments("presets", args, { json: { type: "boolean" } });
  if (values.help) {
    writeHelp(io, presetsHelp);
    return 0;
  }
  const [name, extra] = positionals;
  if (extra !== undefined)
    throw new UsageError(`presets takes one NAME, but was also given "${brief(extra)}"`);
  const chosen = name === undefined ? presets : [findPreset(name)];
  if (values.json) {
    io.stdout.write(
      jsonText(chosen.map((p) => ({ name: p.name, title: p.title, notes: p.notes, values: citedRows(p) }))),
    );
    return 0;
  }
  writeRows(io, name === undefined ? overview() : details(chosen[0]!));
  return 0;
}

function isEstimate(source: string): boolean {
  return source.startsWith("estimate");
}

/** Numbers of a preset with a published source, those fitted to measured curves, and all of them. */
export function sourcedNumbers(preset: Preset): { published: number; fitted: number; all: number } {
  const numbers = citedRows(preset).filter(
    (row) => typeof row.value === "number" && !row.source.startsWith("unused"),
  );
  return {
    published: numbers.filter((row) => !isEstimate(row.source)).length,
    fitted: numbers.filter((row) => row.source.startsWith("estimate: fitted")).length,
    all: numbers.length,
  };
}

function overview(): Row[] {
  const width = Math.max(...presets.map((p) => p.name.length)) + 2;
  return [
    ...presets.map((p) => {
      const { published, fitted, all } = sourcedNumbers(p);
      const fits = fitted > 0 ? `, ${fitted} fitted to measured curves` : "";
      const standard = p === defaultPreset ? ", the default" : "";
      return {
        left: p.name.padEnd(width),
        text: `${p.title}: ${published} of ${all} numbers published${fits}${standard}`,
      };
    }),
    { left: "", text: "" },
    { left: "", text: "nestwalk presets NAME prints each number with its source." },
    ...profiles.flatMap(({ group, key, names }) => [
      { left: "", text: "" },
      { left: "", text: `--set ${group}.${key}=NAME` },
      ...names.map(([name, text]) => ({ left: `  ${name}`.padEnd(width + 2), text })),
    ]),
  ];
}

function details(preset: Preset): Row[] {
  const rows = citedRows(preset).map((row) => ({
    ...row,
    text: Array.isArray(row.value) ? row.value.join(",") || "none" : String(row.value),
  }));
  const path = Math.max(...rows.map((row) => row.path.length)) + 2;
  const value = Math.max(...rows.map((row) => row.text.length));
  return [
    { left: "", text: `${preset.name}: ${preset.title}` },
    ...preset.notes.map((note) => ({ left: "  - ", text: note })),
    { left: "", text: "" },
    ...rows.map((row) => ({
      left: `${row.path.padEnd(path)}${row.text.padStart(value)}  `,
      text: row.source,
    })),
  ];
}
