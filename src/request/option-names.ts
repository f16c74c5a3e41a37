/** The options by which a trace is read and a replay is asked for, as far as sentences name them. */
export type OptionName =
  | "addresses"
  | "allow-truncated"
  | "columns"
  | "config"
  | "cpu"
  | "formats"
  | "from"
  | "host-page"
  | "interval"
  | "jobs"
  | "page-sizes"
  | "set"
  | "technique"
  | "v2p"
  | "vary";

/** What an option is called where the sentence is shown, with its value if the sentence has one. */
export type OptionNaming = (option: OptionName, value?: string) => string;

/** As the command line has them. */
const flags: OptionNaming = (option, value) => {
  if (option === "formats") return "nestwalk trace formats";
  return value === undefined ? `--${option}` : `--${option} ${value}`;
};

let naming = flags;

/** Says, for all sentences to come, what options are called: their flags, unless a program has other places for them. */
export function nameOptions(how: OptionNaming): void {
  naming = how;
}

/** What an option is called in a sentence. */
export function optionName(option: OptionName, value?: string): string {
  return naming(option, value);
}
