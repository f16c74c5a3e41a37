import { describe, expect, it } from "vitest";
import { compareKnees, errorsOf, knees } from "../src/conform/silicon/errors.js";
import { armOf, canonicalColumn } from "../src/conform/silicon/experiments.js";
import { hashLow, permutation } from "../src/conform/silicon/random.js";
import { columnsOf } from "../src/conform/silicon/tables.js";

describe("measured tables", () => {
  const csv = "N,a:cyc_min,a:cyc_med_of_run_min,a:ticks_min,b:cyc_min\n16,4,4.1,2,\n20,4,9,2,7.5\n";

  it("have a column per arm, its points and how much they move", () => {
    expect(columnsOf("exp2", csv)).toEqual([
      {
        experiment: "exp2",
        name: "a",
        points: [
          { n: 16, cycles: 4, spread: 4.1 },
          { n: 20, cycles: 4, spread: 9 },
        ],
      },
      { experiment: "exp2", name: "b", points: [{ n: 20, cycles: 7.5, spread: 7.5 }] },
    ]);
  });

  it("may have fields that are no numbers, other columns, CR LF, and an arm for each value of a column", () => {
    const text = "\uFEFFN,extra,s:cycles_min,note\r\n40,13,4,x\r\n32,12,nan,\r\n32,13,5,\r\n32,14,0,\r\n";
    expect(columnsOf("exp3", text)).toEqual([
      {
        experiment: "exp3",
        name: "s_13",
        points: [
          { n: 32, cycles: 5, spread: 5 },
          { n: 40, cycles: 4, spread: 4 },
        ],
      },
    ]);
  });

  it("need whole N", () => {
    expect(() => columnsOf("exp1", "a,b:cyc_min\n1,2\n")).toThrow(
      "exp1.csv has no column N in its first line",
    );
    expect(() => columnsOf("exp1", "N,b:cyc_min\n1.5,2\n")).toThrow("N is 1.5, not a whole number");
  });

  it("name strides and regions in several ways", () => {
    const names = (experiment: string, columns: string[]) =>
      columns.map((column) => canonicalColumn(experiment, column));
    expect(names("exp3", ["stride2^21", "stride21", "s_21", "2^21", "21"])).toEqual(
      Array(5).fill("stride2^21"),
    );
    expect(names("exp2t", ["pde_T8192", "pde 8192", "pde:T=8192"])).toEqual(Array(3).fill("pde_T8192"));
  });

  it("are replayed where their chase is defined, and never outside of a process's addresses", () => {
    const kind = (experiment: string, column: string) => {
      const arm = armOf(experiment, column);
      return typeof arm === "object" ? arm.most : arm;
    };
    expect(kind("exp3", "stride2^39")).toBe(253);
    expect(kind("exp3", "stride2^40")).toBeUndefined();
    expect(kind("exp2t", "pml4e_T8192")).toBe(253);
    expect(kind("exp4", "jmp_2m")).toMatch(/not a latency/);
    expect(kind("exp1", "noise")).toBeUndefined();
  });

  it("are compared point by point, and knee by knee within one step", () => {
    const measured = [4, 4, 4, 4, 9, 10, 10, 10, 14].map((cycles, i) => ({
      n: i + 1,
      cycles,
      spread: i === 8 ? 20 : cycles,
    }));
    const model = [4, 4, 4, 4, 4, 10, 10, 10, 11].map((cycles, i) => ({ n: i + 1, cycles }));
    expect(compareKnees(measured, model)).toEqual({ measured: [5], model: [6, 9], met: [5] });
    const errors = errorsOf(measured, model);
    expect(errors).toMatchObject({ median: 0, points: 9, worst: { n: 5, measured: 9, model: 4 } });
  });
});

describe("the generators of the measurements", () => {
  it("are those of the definition", () => {
    const mask = (1n << 64n) - 1n;
    const mix = (z: bigint) => {
      let x = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
      x = ((x ^ (x >> 27n)) * 0x94d049bb133111ebn) & mask;
      return x ^ (x >> 31n);
    };
    const golden = 0x9e3779b97f4a7c15n;
    for (const i of [0, 1, 63, 64, 12345, 99_999, 2 ** 40 + 7])
      expect(hashLow(i)).toBe(Number(mix((BigInt(i) + golden) & mask) & 0xffff_ffffn));
    const n = 1000;
    const expected = Array.from({ length: n }, (_, i) => i);
    let state = 0x243f6a8885a308d3n ^ BigInt(n);
    for (let i = n - 1; i >= 1; --i) {
      state = (state + golden) & mask;
      const j = Number(mix(state) % BigInt(i));
      [expected[i], expected[j]] = [expected[j]!, expected[i]!];
    }
    expect([...permutation(n)]).toEqual(expected);
  });
});

describe("knees", () => {
  it("are the first points more than 5 % above a plateau of three", () => {
    const curve = (cycles: number[]) => cycles.map((c, i) => ({ n: i + 1, cycles: c }));
    expect(knees(curve([4, 4, 4, 4.1, 9, 10, 10, 10, 10.2, 12]))).toEqual([5, 10]);
    expect(knees(curve([4, 5, 6, 7, 8, 9]))).toEqual([]);
  });
});
