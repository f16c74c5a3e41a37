/** Numbers as people read them. Always with "," and ".", whatever the machine's locale. */

/** 12345678 as "12,345,678". */
export function grouped(n: number): string {
  return fixed(n, 0);
}

/** With a fixed number of decimals, grouped. */
export function fixed(n: number, decimals: number): string {
  const [whole, part] = n.toFixed(decimals).split(".");
  const text = whole!.replace(/\B(?=(\d{3})+$)/g, ",");
  return part === undefined ? text : `${text}.${part}`;
}

/** `part` of `whole` in percent; "-" of nothing. */
export function percent(part: number, whole: number, decimals = 2): string {
  return whole === 0 ? "-" : `${fixed((100 * part) / whole, decimals)} %`;
}

/** How much more than `base`, in percent with its sign. */
export function overhead(value: number, base: number): string {
  if (base === 0) return "-";
  const more = (100 * (value - base)) / base;
  const text = fixed(Math.abs(more), 1);
  return text === "0.0" ? "0.0 %" : `${more < 0 ? "-" : "+"}${text} %`;
}

/** `n` things. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${grouped(n)} ${n === 1 ? one : many}`;
}
