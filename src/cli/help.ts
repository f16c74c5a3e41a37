import { wrapped } from "../report/text.js";
import type { Io } from "./io.js";

const WIDTH = 80;
const LEAST_WIDTH = 40;

/** Prints the help of a command in the width of the terminal, 80 where that is unknown or more. */
export function writeHelp(io: Io, help: string): void {
  io.stdout.write(`${reflowed(help, Math.min(io.stdout.columns || WIDTH, WIDTH)).join("\n")}\n`);
}

interface Paragraph {
  text: string;
  /** Spaces before the lines after its first. */
  hang: number;
}

/** Lines that belong together are joined and broken anew: prose, and what stands beside an option or a command. */
export function reflowed(help: string, width: number): string[] {
  const paragraphs: Paragraph[] = [];
  // How the command is called, up to the first empty line, is a line each.
  let usage = true;
  for (const line of help.trimEnd().split("\n")) {
    if (line === "") usage = false;
    const indent = /^ */.exec(line)![0].length;
    const last = paragraphs.at(-1);
    const begins = usage || /^( +(-|nestwalk |[\w.]+ {2,})|- )/.test(line);
    if (last && last.text !== "" && line !== "" && !begins && indent === last.hang) {
      last.text += ` ${line.trim()}`;
    } else {
      const beside =
        /^- /.exec(line) ?? /^ +\S.*? {2,}(?=\S)/.exec(line) ?? /^ +-\S+ --\S+ [A-Z]+ (?=\S)/.exec(line);
      paragraphs.push({ text: line, hang: beside ? beside[0].length : indent });
    }
  }
  const narrow = Math.max(LEAST_WIDTH, width);
  return paragraphs.flatMap(({ text, hang }) =>
    text.startsWith("  nestwalk ") && hang === 2
      ? command(text, narrow)
      : wrapped(text, narrow, narrow - hang < 20 ? 8 : hang),
  );
}

/** A command line that can be copied, however many lines it takes. */
function command(text: string, width: number): string[] {
  const lines = text.length <= width ? [text] : wrapped(text, width - 2, 4);
  return lines.map((line, i) => (i < lines.length - 1 ? `${line} \\` : line));
}

/** A row of a list: what it is about, and what is said of it. */
export interface Row {
  left: string;
  text: string;
}

const NARROW = 30;

/** Prints a list: within the width of a terminal, and to anything else a line a row, for grep. */
export function writeRows(io: Io, rows: readonly Row[]): void {
  const width = io.stdout.isTTY ? io.stdout.columns || WIDTH : Number.POSITIVE_INFINITY;
  const lines = rows.flatMap(({ left, text }) => {
    if (width - left.length >= NARROW || text === "") return wrapped(left + text, width, left.length);
    return [...wrapped(left, width, 4), ...wrapped(`    ${text}`, width)];
  });
  io.stdout.write(`${lines.join("\n")}\n`);
}
