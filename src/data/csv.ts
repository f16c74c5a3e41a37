import type { LongRow, LongValue } from "./rows.js";

/** Rows in one part of a text. */
const PART = 4096;

/** Rows as CSV (RFC 4180, lines ended by LF), a header first; an empty cell is null. In parts, so that it may be any length. */
export function* csvParts(rows: Iterable<LongRow>): Generator<string, void> {
  let columns: string[] | undefined;
  let lines: string[] = [];
  for (const row of rows) {
    if (columns === undefined) {
      columns = Object.keys(row);
      lines.push(columns.map(cell).join(","));
    }
    lines.push(columns.map((name) => cell(row[name] ?? null)).join(","));
    if (lines.length >= PART) {
      yield `${lines.join("\n")}\n`;
      lines = [];
    }
  }
  if (lines.length > 0) yield `${lines.join("\n")}\n`;
}

export function csvOf(rows: Iterable<LongRow>): string {
  return [...csvParts(rows)].join("");
}

function cell(value: LongValue): string {
  const text = value === null ? "" : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
