/** What a piece of text is, for those who can see colours. */
export type Tone = "title" | "head" | "dim" | "good" | "bad";

/** Colours a text, or leaves it as it is. */
export type Paint = (tone: Tone, text: string) => string;

export const plain: Paint = (_, text) => text;

const CODES: Record<Tone, [number, number]> = {
  title: [1, 22],
  head: [1, 22],
  dim: [2, 22],
  good: [32, 39],
  bad: [31, 39],
};

/** Colours by ANSI escapes. */
export const ansi: Paint = (tone, text) => `\x1b[${CODES[tone][0]}m${text}\x1b[${CODES[tone][1]}m`;
