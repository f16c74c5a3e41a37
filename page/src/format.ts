/** Numbers as the table and the figures write them, whatever the browser's language. */
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export function grouped(n: number): string {
  return whole.format(n);
}

export function fixed(n: number, decimals: number): string {
  return n.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** How much more than `base`, in percent with its sign. */
export function overhead(value: number, base: number): string {
  const more = (100 * (value - base)) / base;
  return `${more < 0 ? "−" : "+"}${fixed(Math.abs(more), 1)} %`;
}
