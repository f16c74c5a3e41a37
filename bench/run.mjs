/**
 * Replay speed on recorded guests, as ratios within one run and in process CPU time.
 *
 *   npm run bench                         sqlite and pipe-pti, and random updates of 64 MiB
 *   npm run bench -- FILE...              other traces
 *   npm run bench -- --rounds 5 FILE...
 */
import { parseArgs } from "node:util";
import { Bench } from "tinybench";
import { Machine, openTrace, resolveConfig, techniqueKeys } from "../dist/index.js";
import { openFile } from "../dist/node.js";
import { gups } from "./gups.mjs";

const { values, positionals } = parseArgs({
  options: { rounds: { type: "string", default: "3" }, cpu: { type: "string" } },
  allowPositionals: true,
});
const files = positionals.length > 0 ? positionals : ["traces/sqlite.nwt", "traces/pipe-pti.nwt", "gups:64"];
const cpuMilliseconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

const cases = [
  ...["native", "shadow", "ept", "npt"].map((technique) => ({ technique, core: "simd" })),
  { technique: "ept", core: "scalar" },
];

for (const file of files) {
  const slices = [];
  if (file.startsWith("gups:")) slices.push(...gups(Number(file.slice(5)), 1_000_000));
  else {
    const trace = await openTrace(await openFile(file));
    for await (const slice of trace.records()) slices.push(slice.slice());
  }

  let accesses = 0;
  const replay = (technique, core) => {
    const options = Object.entries(techniqueKeys(technique)).map(([path, value]) => ({
      option: "bench",
      path,
      value,
    }));
    const machine = new Machine(resolveConfig({ cpu: values.cpu, options }), core);
    for (const slice of slices) machine.feed(slice);
    accesses = machine.accesses;
    machine.finish();
  };

  const bench = new Bench({
    now: cpuMilliseconds,
    iterations: Number(values.rounds),
    time: 0,
    warmup: true,
    warmupIterations: 1,
    warmupTime: 0,
  });
  for (const { technique, core } of cases) bench.add(`${technique} ${core}`, () => replay(technique, core));
  await bench.run();

  const best = bench.tasks.map((task) => task.result.latency.min);
  console.log(`\n${file}: ${accesses} accesses, best of ${values.rounds}, CPU time`);
  console.table(
    bench.tasks.map((task, i) => ({
      machine: task.name,
      "M accesses/s": Number((accesses / best[i] / 1000).toFixed(1)),
      "time of native": Number((best[i] / best[0]).toFixed(2)),
    })),
  );
}
