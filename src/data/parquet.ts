import { parquetWriteBuffer } from "hyparquet-writer";
import type { LongRow, LongValue } from "./rows.js";

/** Most rows of a file: its columns are put together in memory. */
export const MOST_PARQUET_ROWS = 4_000_000;

/**
 * Rows as a Parquet file (snappy): numbers are DOUBLE, flags BOOLEAN, everything else strings; a column with several kinds
 * is of strings, one without any value of numbers. `metadata` goes into the file's key-value metadata. Throws RangeError for more than MOST_PARQUET_ROWS.
 */
export function parquetOf(
  rows: Iterable<LongRow>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const columns = new Map<string, LongValue[]>();
  let count = 0;
  for (const row of rows) {
    if (count === 0) for (const name of Object.keys(row)) columns.set(name, []);
    for (const [name, values] of columns) values.push(row[name] ?? null);
    count += 1;
    if (count > MOST_PARQUET_ROWS)
      throw new RangeError(
        `more than ${MOST_PARQUET_ROWS} rows for a Parquet file; take longer intervals, or CSV`,
      );
  }
  const buffer = parquetWriteBuffer({
    columnData: [...columns].map(([name, values]) => column(name, values)),
    kvMetadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  });
  return new Uint8Array(buffer);
}

function column(name: string, values: readonly LongValue[]) {
  const kinds = new Set(values.filter((value) => value !== null).map((value) => typeof value));
  const nullable = values.includes(null);
  const [kind] = kinds;
  if (kinds.size === 0 || (kinds.size === 1 && kind === "number"))
    return { name, data: [...values], type: "DOUBLE" as const, nullable };
  if (kinds.size === 1 && kind === "boolean")
    return { name, data: [...values], type: "BOOLEAN" as const, nullable };
  const data = values.map((value) => (value === null ? null : String(value)));
  return { name, data, type: "STRING" as const, nullable };
}
