/**
 * The page against Node, on one trace: how long its main thread keeps the user waiting, and how fast it replays.
 *
 *   npm run page:build && node bench/page.mjs [traces/pipe-pti.nwt] [rounds]
 *
 * A round replays the trace in Node and in the page, one machine after the other; the fastest round counts, by the clock and
 * by the processor time of the whole process. In the page it goes from the click to the result. Long tasks are those of the whole session: load, choice of the trace, replay,
 * figures. A task's processor time is what it would take on a machine with nothing else to do.
 */
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { bytesOfBlob, compare, openTrace, resolveConfig } from "../dist/index.js";
import { launchChromium } from "../dist/node/browser/chromium.js";

const [file = "traces/pipe-pti.nwt", rounds = "3"] = process.argv.slice(2);
const page = fileURLToPath(new URL("../build/page", import.meta.url));
if (!existsSync(join(page, "index.html"))) {
  process.stderr.write("build/page is not there; run npm run page:build first\n");
  process.exit(1);
}
const bytes = readFileSync(file);
const TECHNIQUES = ["native", "shadow", "ept"];
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

const server = createServer((request, response) => {
  const path = join(page, request.url === "/" ? "index.html" : request.url);
  if (!existsSync(path)) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" });
  return response.end(readFileSync(path));
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));

/** Seconds that Node takes for one technique, by the clock and of processors. */
async function inNode(technique) {
  const began = performance.now();
  const used = process.cpuUsage();
  const set = technique === "ept" ? ["technique=nested", "format=ept"] : [`technique=${technique}`];
  const trace = await openTrace(bytesOfBlob(basename(file), new Blob([bytes])));
  const { trace: replayed } = await compare(trace, [resolveConfig({ set })]);
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(used);
  return { seconds, processor: (user + system) / 1e6, accesses: replayed.accesses };
}

/** Processor time of all renderers so far, in seconds. */
async function renderers(session) {
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  return processInfo.filter(({ type }) => type === "renderer").reduce((sum, one) => sum + one.cpuTime, 0);
}

/** Seconds that the page takes, from the click to the result, and its long tasks until the figures are drawn. */
async function inPage(browser, techniques, tracing = false) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const tab = await context.newPage();
  const session = await browser.newBrowserCDPSession();
  if (tracing) await browser.startTracing(tab, { categories: ["toplevel"] });
  await tab.addInitScript(() => {
    globalThis.longTasks = [];
    new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries())
        globalThis.longTasks.push([startTime, duration]);
    }).observe({ type: "longtask", buffered: true });
  });
  await tab.goto(`http://127.0.0.1:${server.address().port}/`);
  await tab.setInputFiles("#file", file);
  for (const name of ["native", "shadow", "ept", "npt"])
    await tab.setChecked(`[name=technique][value=${name}]`, techniques.includes(name));
  await tab.waitForSelector("#run:not([disabled])");
  await tab.evaluate(() => {
    document.querySelector("[name=interval]").value = "";
  });
  /* Nobody is faster than that: the page has said what the trace is. */
  await tab.waitForTimeout(1000);
  const used = await renderers(session);
  const seconds = await tab.evaluate(async () => {
    const began = performance.now();
    document.querySelector("#run").click();
    const report = document.querySelector("#report");
    await new Promise((done) => {
      new MutationObserver(() => !report.hidden && done()).observe(report, { attributes: true });
    });
    return (performance.now() - began) / 1000;
  });
  const processor = (await renderers(session)) - used;
  await tab.waitForFunction(() => {
    const plots = [...document.querySelectorAll(".plot")];
    return plots.length > 0 && plots.every((plot) => plot.dataset.drawn);
  });
  await tab.waitForTimeout(500);
  const tasks = await tab.evaluate(() => globalThis.longTasks);
  const traced = tracing ? longestTask(JSON.parse(await browser.stopTracing())) : undefined;
  await context.close();
  return { seconds, processor, tasks, traced };
}

/** Processor time of the main thread's longest task, in milliseconds. */
function longestTask({ traceEvents }) {
  const main = traceEvents.find(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain");
  const tasks = traceEvents.filter(
    ({ name, pid, tid, tdur }) => name.endsWith("RunTask") && pid === main.pid && tid === main.tid && tdur,
  );
  return Math.max(...tasks.map(({ tdur }) => tdur)) / 1000;
}

const browser = await launchChromium();
for (const technique of TECHNIQUES) {
  const node = { seconds: Number.POSITIVE_INFINITY, processor: Number.POSITIVE_INFINITY };
  const chromium = { ...node };
  let accesses = 0;
  const fastest = (of, round) => {
    for (const what of ["seconds", "processor"]) of[what] = Math.min(of[what], round[what]);
  };
  for (let round = 0; round < Number(rounds); ++round) {
    const here = await inNode(technique);
    accesses = here.accesses;
    fastest(node, here);
    fastest(chromium, await inPage(browser, [technique]));
  }
  const speed = ({ seconds, processor }) =>
    `${(accesses / seconds / 1e6).toFixed(1)} M accesses/s (${processor.toFixed(2)} s of processors)`;
  const times = (what) => (chromium[what] / node[what]).toFixed(2);
  console.log(
    `${technique.padEnd(7)} Node ${speed(node)}, page ${speed(chromium)}: ${times("seconds")} times as long, ${times("processor")} times the processor time`,
  );
}
let worst = [];
let processor = Number.POSITIVE_INFINITY;
for (let round = 0; round < Number(rounds); ++round) {
  const { tasks } = await inPage(browser, TECHNIQUES);
  const longest = Math.max(0, ...tasks.map(([, duration]) => duration));
  if (round === 0 || longest < Math.max(0, ...worst.map(([, duration]) => duration))) worst = tasks;
  processor = Math.min(processor, (await inPage(browser, TECHNIQUES, true)).traced);
}
console.log(
  worst.length === 0
    ? "no task of the main thread took 50 ms or more"
    : `tasks of 50 ms and more: ${worst.map(([start, duration]) => `${duration} ms at ${Math.round(start)} ms`).join(", ")}`,
);
console.log(`the longest took ${processor.toFixed(0)} ms of processor time`);
await browser.close();
server.close();
