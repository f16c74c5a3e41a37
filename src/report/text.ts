/** Text for a terminal, whatever is in it. */

/** Control characters, line and paragraph separators, and what turns the direction of writing. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
const UNPRINTABLE = /[\0-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
const NAMED: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** A text of foreign origin with control characters as escapes, so that it cannot move the cursor or colour anything. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (c) => {
    const code = c.charCodeAt(0);
    return (
      NAMED[c] ?? (code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`)
    );
  });
}

/** What a trace's header holds under a name, as text: JSON where it is no string, cut short where it is endless. */
export function headerText(value: unknown, most = 400): string {
  const text = printable(typeof value === "string" ? value : (JSON.stringify(value) ?? String(value)));
  return text.length > most ? `${text.slice(0, most - 3)}...` : text;
}

/** A text in lines of at most `width`, broken at spaces; lines after the first begin with `hang` spaces. */
export function wrapped(text: string, width: number, hang?: number): string[] {
  const indent = /^ */.exec(text)![0];
  const after = " ".repeat(hang ?? indent.length);
  const lines: string[] = [];
  let line = indent;
  let empty = true;
  for (const word of text.trim().split(" ")) {
    if (!empty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = after + word;
    } else {
      line += empty ? word : ` ${word}`;
    }
    empty = false;
  }
  return [...lines, line.trimEnd()];
}
