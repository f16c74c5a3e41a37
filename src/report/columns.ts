/** Rows of cells, each column as wide as its widest cell, and none for a column of nothing; numbers are to the right. */
export function columns(rows: readonly (readonly string[])[], right: readonly boolean[] = []): string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, i) =>
    Math.max(...rows.map((row) => (row[i] ?? "").length)),
  );
  return rows.map((row) =>
    row
      .map((cell, i) => (right[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .filter((_, i) => widths[i]! > 0)
      .join("  ")
      .trimEnd(),
  );
}
