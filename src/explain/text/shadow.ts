import { columns } from "../../report/columns.js";
import type { Paint } from "../../report/style.js";
import type { ShadowEntry, ShadowRow } from "../types.js";

/** The guest's tables and the hypervisor's, level by level. */
export function shadowLines(rows: readonly ShadowRow[], paint: Paint): string[] {
  const entry = (its: ShadowEntry | null) => (its === null ? ["", ""] : [its.value, its.decoded.text]);
  const page = ({ page, childrenOutOfSync }: ShadowRow) =>
    page === null ? "" : childrenOutOfSync ? `${page}, pages below it out of sync` : page;
  const [head, ...rest] = columns([
    ["", "the guest's", "", "shadow", "", "shadow page"],
    ...rows.map((row) => [row.name, ...entry(row.guest), ...entry(row.shadow), page(row)]),
  ]).map((line) => `  ${line}`);
  return [paint("head", head!), ...rest];
}
