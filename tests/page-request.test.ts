import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { sliced } from "../page/plotly-slices.js";
import { sharesOf } from "../page/src/engine/shares.js";
import { labels, openingOf, type ReadingFields } from "../page/src/request.js";
import { type CompareOptions, compare } from "../src/compare.js";
import type { MachineConfig } from "../src/config/index.js";
import { commandOf } from "../src/plot/index.js";
import { type ReplayRequest, replayPlan } from "../src/request/index.js";
import type { Result } from "../src/result.js";
import { nestwalk } from "./cli/capture.js";
import { pagesGuest } from "./cli/guest.js";
import { pgrec1File } from "./fixtures/traces.js";

const dir = mkdtempSync(join(tmpdir(), "nestwalk-page-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** The words of a command line, as a shell takes them apart. */
function words(command: string): string[] {
  return execFileSync("sh", ["-c", `for word in ${command}; do printf '%s\\0' "$word"; done`], {
    encoding: "utf8",
  })
    .split("\0")
    .slice(0, -1);
}

async function onCommandLine(command: string) {
  let seen: { configs: readonly MachineConfig[]; options: CompareOptions } | undefined;
  const [npx, name, ...args] = words(command);
  expect([npx, name]).toEqual(["npx", "nestwalk"]);
  const run = await nestwalk([...args, "--quiet"], {
    compare: (trace, configs, options = {}) => {
      seen = { configs, options };
      return compare(trace, configs, options);
    },
  });
  expect(run.stderr).toBe("");
  return seen!;
}

describe("what the page asks for", () => {
  const guest = join(dir, "it's a guest.pgrec");
  writeFileSync(guest, pgrec1File(pagesGuest(10), { ram_mb: 64, fetch: "insn", meta: "sixteen pages" }));
  const text = join(dir, "plain.txt");
  writeFileSync(text, "400000 4096\n401000 8\n");
  const plain: ReplayRequest = { command: "compare", cpu: "zen5", techniques: ["native", "npt"] };
  const reading: ReadingFields = {
    from: "plain",
    columns: "hex,size",
    addresses: "physical",
    allowTruncated: false,
    pageSizes: undefined,
    v2p: undefined,
  };
  const requests: [name: string, trace: string, request: ReplayRequest][] = [
    ["a CPU and techniques", guest, plain],
    [
      "everything",
      guest,
      {
        ...plain,
        hostPage: "2m",
        set: ["tlb.l2.0.entries=4096", 'shadow.profile="xen"'],
        warmup: 20,
        intervals: 50,
      },
    ],
    ["markers", guest, { ...plain, intervals: "markers" }],
    ["how to read a text", text, { ...plain, reading: openingOf(reading).reading }],
  ];

  it.each(requests)("is what the command beside it asks for: %s", async (_, trace, request) => {
    const { tasks, asked } = await replayPlan(request, trace);
    const { configs, options } = await onCommandLine(commandOf(asked, { file: trace } as Result["trace"])!);
    expect(JSON.stringify(tasks.map((task) => task.configs))).toBe(JSON.stringify([configs]));
    expect(JSON.stringify(asked)).toBe(JSON.stringify(options.asked));
    expect([request.warmup, request.intervals]).toEqual([options.warmup, options.intervals]);
  });
});

describe("the labels that sentences have for options", () => {
  const html = readFileSync(new URL("../page/index.html", import.meta.url), "utf8");
  it.each(Object.entries(labels))("%s stands on the page as %j", (_, label) => {
    expect(html).toContain(label);
  });
});

describe("the shares of workers", () => {
  const task = (trace: string, machines: number) => ({ trace, configs: Array(machines).fill({}) });

  it("are the machines of one task in turn", () => {
    expect(sharesOf([task("a", 4)], 3)).toEqual([
      [
        { nth: 0, places: [0, 3] },
        { nth: 0, places: [1] },
        { nth: 0, places: [2] },
      ],
    ]);
    expect(sharesOf([task("a", 1)], 8)).toEqual([[{ nth: 0, places: [0] }]]);
  });

  it("are whole tasks of one trace, and split ones where workers are left over", () => {
    const places = (tasks: ReturnType<typeof task>[], workers: number) =>
      sharesOf(tasks, workers).map((pass) => pass.map((share) => [share.nth, ...share.places]));
    expect(places([task("a", 2), task("a", 2), task("a", 2)], 2)).toEqual([
      [
        [0, 0, 1],
        [1, 0, 1],
      ],
      [
        [2, 0],
        [2, 1],
      ],
    ]);
    expect(places([task("a", 1), task("b", 1)], 4)).toEqual([[[0, 0]], [[1, 0]]]);
  });
});

describe("plotly in slices", () => {
  const bundle = readFileSync(createRequire(import.meta.url).resolve("plotly.js-dist"), "utf8");

  it("starts each part behind those that it needs, and nothing that the figures do not need", () => {
    const code = sliced(bundle);
    const list = /export const slices = \[([^\]]+), last\];/.exec(code)![1]!.split(", ");
    expect(list.length).toBeGreaterThan(100);
    expect(new Set(list).size).toBe(list.length);
    expect(list).not.toContain("require_stackgl_modules");
    expect(list).not.toContain("require_index");
    const at = (name: string) => code.indexOf(`var ${name} = `);
    expect(list.map(at)).toEqual([...list.map(at)].sort((a, b) => a - b));
  });

  it("refuses a bundle that is made in another way", () => {
    expect(() => sliced("export default {}")).toThrow("no longer bundled");
    expect(() => sliced(bundle.replace('"lib/heatmap.js"', '"lib/hotmap.js"'))).toThrow(
      "plotly.js-dist holds no lib/heatmap.js",
    );
    expect(() => sliced(bundle.replaceAll("plotDone = Lib", "done = Lib"))).toThrow(
      "no longer says plotDone",
    );
  });
});
