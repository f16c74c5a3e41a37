/** Results in long form, a row for each figure, for pandas, Observable and everything else that reads CSV or Parquet. */
export { csvOf, csvParts } from "./csv.js";
export { hasIntervalRows, intervalRowsOf } from "./interval-rows.js";
export { MOST_PARQUET_ROWS, parquetOf } from "./parquet.js";
export { type LongRow, type LongValue, rowsOf, type Setting } from "./rows.js";
