import type { Result } from "../../result.js";

/** Keys of what was asked whose option is not called the same. */
const OPTIONS: Readonly<Record<string, string>> = {
  hostPage: "host-page",
  pageSizes: "page-sizes",
};

/** What a trace that was read from there is called. */
const STDIN = "standard input";

/** The command line that gives a result again; undefined for one that no command gave. */
export function commandOf(config: Record<string, unknown>, trace: Result["trace"]): string | undefined {
  const { command, ...asked } = config;
  if (typeof command !== "string") return undefined;
  const words = ["npx", "nestwalk", command, trace.file === STDIN ? "-" : trace.file];
  for (const [key, value] of Object.entries(asked)) {
    const option = `--${OPTIONS[key] ?? key}`;
    if (value === true) words.push(option);
    else if (value === false || value === null || value === undefined) continue;
    else if (key === "technique" && Array.isArray(value)) words.push(option, value.join(","));
    else if (Array.isArray(value)) for (const one of value) words.push(option, String(one));
    else words.push(option, String(value));
  }
  if (trace.truncated !== undefined) words.push("--allow-truncated");
  return words.map(quoted).join(" ");
}

/** A word as a shell takes it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
