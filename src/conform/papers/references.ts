import { type Check, exact } from "./check.js";
import { type Shape, walkCycles, walkOnce } from "./world.js";

/** References per TLB miss with nothing cached. */

const AGILE = "Gandhi et al., Agile Paging, ISCA 2016";
const SAGE = "SagePTE artifact, WALK_SHAPES";
const AHN = "Ahn et al., ISCA 2012, and Gandhi et al., MICRO 2014 (five levels)";
const FORMULA = "G(Ht+1)+Hd";

/** Depths as tables of levels with a leaf: 5 to 2 levels walked. */
const DEPTHS = {
  5: { levels: 5, leaf: 1 },
  4: { levels: 4, leaf: 1 },
  3: { levels: 4, leaf: 2 },
  2: { levels: 4, leaf: 3 },
} as const;
type Depth = keyof typeof DEPTHS;
const depths: readonly Depth[] = [5, 4, 3, 2];

/** Published for guest depth (row) and host depth, 5 to 2. */
const TABLE: Record<Depth, readonly [number, number, number, number]> = {
  5: [35, 29, 23, 17],
  4: [29, 24, 19, 14],
  3: [23, 19, 15, 11],
  2: [17, 14, 11, 8],
};

const MIXED: readonly (readonly [g: Depth, ht: Depth, hd: Depth, references: number])[] = [
  [4, 4, 3, 23],
  [4, 3, 4, 20],
  [3, 4, 3, 18],
  [3, 3, 4, 16],
  [3, 4, 2, 17],
  [4, 3, 2, 18],
  [4, 4, 2, 22],
  [4, 2, 4, 16],
];

/** Agile paging: a full nested walk reads n + (n+1)h entries, a full shadow walk n. */
const DEGREES: readonly (readonly [n: Depth, h: Depth])[] = [
  [4, 4],
  [5, 5],
  [3, 3],
  [4, 3],
];

function nested(g: Depth, ht: Depth, hd: Depth): Shape {
  const levels = Math.max(DEPTHS[ht].levels, DEPTHS[hd].levels) as 4 | 5;
  const leafOf = (depth: Depth) => levels + 1 - depth;
  return { ...DEPTHS[g], host: { levels, tableLeaf: leafOf(ht), dataLeaf: leafOf(hd) } };
}

function sourceOf(g: Depth, h: Depth): string {
  if (g === 4 && h === 4) return AGILE;
  if (g === 3 && h === 3) return SAGE;
  return g === 5 && h === 5 ? AHN : FORMULA;
}

export function referenceChecks(): Check[] {
  const checks: Check[] = [];
  for (const g of depths)
    checks.push(exact(`native, ${g} levels`, g, walkOnce(DEPTHS[g]).references, "one entry a level"));
  for (const g of depths) {
    for (const [i, h] of depths.entries()) {
      const found = walkOnce(nested(g, h, h)).references;
      checks.push(exact(`nested, guest ${g} levels, host ${h}`, TABLE[g][i]!, found, sourceOf(g, h)));
    }
  }
  for (const [g, ht, hd, references] of MIXED) {
    const found = walkOnce(nested(g, ht, hd)).references;
    checks.push(
      exact(
        `nested, guest ${g} levels, host ${ht} for tables and ${hd} for data`,
        references,
        found,
        FORMULA,
      ),
    );
  }
  for (const [n, h] of DEGREES) {
    const found = walkOnce(nested(n, h, h)).references;
    checks.push(
      exact(`Agile's full nested degree, n=${n} h=${h}`, n + (n + 1) * h, found, `${AGILE}, table II`),
    );
  }
  const split = walkOnce(nested(4, 4, 4));
  checks.push(exact("of the 24, guest entries", 4, split.guest, "POM-TLB notes: 20 host + 4 guest"));
  checks.push(
    exact("of the 24, host entries", 20, split.references - split.guest, "POM-TLB notes: 20 host + 4 guest"),
  );
  return [...checks, ...splintering(), ...uniform()];
}

/** A TLB entry is as large as the smaller of the two pages. */
function splintering(): Check[] {
  const names = { 12: "4K", 21: "2M", 30: "1G" } as const;
  const leaves = [1, 2, 3] as const;
  return leaves.flatMap((guest) =>
    leaves.map((host) => {
      const shape: Shape = { levels: 4, leaf: guest, host: { levels: 4, tableLeaf: 1, dataLeaf: host } };
      const shift = (leaf: number) => 3 + 9 * leaf;
      const want = Math.min(shift(guest), shift(host)) as 12 | 21 | 30;
      const found = walkOnce(shape).pageShift as 12 | 21 | 30;
      return {
        what: `TLB entry of a guest ${names[shift(guest) as 12]} page on a host ${names[shift(host) as 12]} page`,
        expected: names[want],
        found: names[found],
        passed: want === found,
        source: `${AGILE}, section V`,
      };
    }),
  );
}

/** The designs' common check: each reference costs the same. */
function uniform(): Check[] {
  const x = 200;
  const source = "DMT artifact, Formula.cs; DRAM 200 cycles";
  const rows: [string, Shape, number][] = [
    ["radix, native 4K", DEPTHS[4], 4],
    ["radix, native 2M", DEPTHS[3], 3],
    ["radix, virtualized 4K", nested(4, 4, 4), 24],
    ["radix, virtualized 2M", nested(3, 3, 3), 15],
  ];
  return rows.map(([what, shape, references]) =>
    exact(`${what}: cycles at ${x} a reference`, references * x, walkCycles(shape, x), source),
  );
}
