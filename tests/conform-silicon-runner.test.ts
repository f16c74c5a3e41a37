import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { figureOf } from "../src/conform/silicon/figures.js";
import { conformSilicon } from "../src/conform/silicon.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nestwalk-silicon-"));
});
afterAll(() => rm(folder, { recursive: true }));
/* No browser: the runner's figures are the same, and its result too. */
beforeEach(() => {
  vi.stubEnv("CHROMIUM", join(folder, "no-browser"));
  return () => vi.unstubAllEnvs();
});

async function run(name: string, tables: Record<string, string>, args: string[] = []) {
  const tablesIn = await mkdtemp(join(folder, `${name}-`));
  for (const [file, text] of Object.entries(tables)) await writeFile(join(tablesIn, file), text);
  const plots = join(tablesIn, "plots");
  let text = "";
  const code = await conformSilicon([tablesIn, "--plots", plots, ...args], (part) => {
    text += part;
  });
  return { code, lines: text.trimEnd().split("\n"), plots };
}

describe("conform silicon", () => {
  it("counts a column that agrees, one that does not, and none that is not a latency", async () => {
    const { code, lines, plots } = await run("mixed", {
      "exp2.csv": "N,s4k:cyc_min,s4k:cyc_med_of_run_min,s32k_jit:cyc_min\n16,13.9,14,40\n128,20.9,21,40\n",
      "exp4.csv": "N,aliasret_s4k:cyc_min,jmp_2m:cyc_min,ret_dense:cyc_min\n16,24.9,1,22.9\n",
      "exp9.csv": "N,x:cyc_min\n16,1\n",
      "os.csv": "op,n\nx,1\n",
    });
    const of = (label: string) => lines.find((line) => line.startsWith(label));
    expect(of("exp2 s4k")).toMatch(/^exp2 s4k +2 +\d\.\d +\d\.\d /);
    expect(of("exp2 s4k")).not.toMatch(/FAILED/);
    expect(of("exp2 s32k_jit")).toMatch(/FAILED: at most 10\.0$/);
    expect(of("exp4 jmp_2m")).toMatch(/not replayed: predicted jumps/);
    expect(of("exp4 ret_dense")).toMatch(/not counted: /);
    expect(of("exp9 x")).toMatch(/not replayed: no chase of this name is defined/);
    expect(lines.at(-1)).toBe("2 passed, 1 failed");
    expect(code).toBe(1);
    expect(lines.filter((line) => line.startsWith("NO PNG: "))).toHaveLength(1);
    expect((await readdir(plots)).sort()).toEqual([
      "exp2-zen5.json",
      "exp4-uncounted-zen5.json",
      "exp4-zen5.json",
    ]);
    const { data } = JSON.parse(await readFile(join(plots, "exp2-zen5.json"), "utf8"));
    expect(data.map((trace: { name: string }) => trace.name)).toEqual([
      "s4k measured",
      "s4k",
      "s32k_jit measured",
      "s32k_jit",
    ]);
  });

  it("shows the error with and without the mechanism that is taken away", async () => {
    const { code, lines } = await run("ablated", { "exp2h.csv": "N,huge2m:cyc_min\n112,53\n" }, [
      "--ablate",
      "walker-past-l1",
    ]);
    expect(code).toBe(1);
    expect(lines[1]).toMatch(/mean with the mechanism \d\.\d +FAILED/);
    expect(lines.at(-2)).toMatch(
      /^mean error of 1 columns: [23]\d\.\d % \(walker-past-l1; with the mechanism \d\.\d %\)$/,
    );
  });

  it("says which chips it has presets for", async () => {
    const { code, lines } = await run("native", {
      "instlat.csv": "cpu,test,working_set_kb,stride_bytes,latency_cycles\nice_lake,Random_Full,8,4096,5\n",
    });
    expect(lines[1]).toMatch(
      /^instlat ice_lake +not replayed: no preset models it; the presets are sandy-bridge, haswell/,
    );
    expect(lines.at(-1)).toBe("0 passed, 0 failed");
    expect(code).toBe(0);
  });

  it("refuses what it cannot use, in a sentence", async () => {
    const refused = (args: string[]) => conformSilicon(args, () => {});
    await expect(refused([join(folder, "nowhere")])).rejects.toThrow(/^there is no folder .*nowhere$/);
    await expect(run("empty", {})).rejects.toThrow(/has no table$/);
    await expect(run("every", {}, ["--every", "0"])).rejects.toThrow(
      '--every takes a whole number from 1, not "0"',
    );
    await expect(run("only", {}, ["--only", "("])).rejects.toThrow(/^--only: /);
    await expect(run("ablate", {}, ["--ablate", "x"])).rejects.toThrow(/^no ablation "x": l2-lru, /);
  });
});

describe("the figure of a table", () => {
  const column = (name: string) => ({
    name,
    measured: [16, 64, 256].map((n) => ({ n, cycles: 10, spread: 10 })),
    model: [16, 64].map((n) => ({ n, cycles: 11 })),
  });

  it("has the points that were compared, and says how far the model is off", () => {
    const figure = figureOf({ id: "exp2-zen5", subject: "exp2 on zen5", unit: "N", columns: [column("a")] });
    expect(figure.title).toBe("exp2 on zen5: the model is off by 10.0 % in the median");
    expect(figure.data.map(({ x, y, mode }) => ({ x, y, mode }))).toEqual([
      { x: [16, 64], y: [10, 10], mode: "markers" },
      { x: [16, 64], y: [11, 11], mode: "lines" },
    ]);
    expect(figure.table.rows).toEqual([
      ["a", 16, 10, 11],
      ["a", 64, 10, 11],
    ]);
  });

  it("has as many panels as keep its columns apart", () => {
    const columns = ["a", "b", "c", "d", "e", "f"].map(column);
    const figure = figureOf({ id: "exp3-zen5", subject: "exp3", unit: "N", columns });
    expect(new Set(figure.data.map(({ yaxis }) => yaxis)).size).toBe(2);
    expect(
      new Set(figure.data.slice(0, 6).map(({ line, marker }) => JSON.stringify(line ?? marker))).size,
    ).toBe(6);
  });
});
