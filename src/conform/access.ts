import { parseArgs } from "node:util";
import { UsageError } from "../cli/io.js";
import { Cases } from "./access/cases.js";
import { type Mode, modes, Rig } from "./access/rig.js";

const usage = `npm run conform -- access [--stride N] [--offset N] [--mode no-tlb,cold,warm,ept,npt,shadow] [--levels 4|5] [--maxphyaddr BITS]

Makes every access of the enumeration (entries, registers and accesses after kvm-unit-tests' access test, with SMAP,
EFLAGS.AC and accesses of the CPU itself) and compares fault, error code, CR2, address and both entries with an oracle
that is a function of the flags. Modes: without TLBs; with TLBs, after INVLPG; after a read by the kernel, twice and
without a flush; under EPT, NPT and shadow paging. --stride N makes every Nth case, from --offset.
`;

export async function conformAccess(
  args: readonly string[],
  write: (text: string) => void,
  progress: (text: string) => void = progressLine,
): Promise<number> {
  const { values } = parse(args);
  if (values.help) {
    write(usage);
    return 0;
  }
  const stride = positive("--stride", values.stride);
  const offset = positive("--offset", values.offset, 0);
  const maxphyaddr = positive("--maxphyaddr", values.maxphyaddr);
  if (maxphyaddr < 36 || maxphyaddr > 52) throw new UsageError("--maxphyaddr is 36 to 52");
  if (values.levels !== "4" && values.levels !== "5") throw new UsageError("--levels is 4 or 5");
  const wanted = values.mode.split(",");
  for (const mode of wanted) {
    if (!(modes as readonly string[]).includes(mode))
      throw new UsageError(`no mode "${mode}": ${modes.join(", ")}`);
  }
  let passed = 0;
  let failed = 0;
  for (const mode of wanted as Mode[]) {
    const cases = new Cases(maxphyaddr);
    const rig = new Rig(mode, cases, values.levels === "5" ? 5 : 4);
    const started = performance.now();
    let shown = started;
    let next = offset;
    while (next < cases.total) {
      next = rig.run(next, stride, cases.total);
      const now = performance.now();
      if (now - shown < 1000) continue;
      shown = now;
      const rate = ((rig.passed + rig.failed) / (now - started)) * 1000;
      progress(`${mode}: ${((100 * next) / cases.total).toFixed(1)} %, ${perSecond(rate)}`);
    }
    const seconds = (performance.now() - started) / 1000;
    const made = rig.passed + rig.failed;
    for (const { what } of rig.failures) write(`  ${what}\n`);
    write(
      `${mode}: ${made} cases, ${rig.failed} failed, ${seconds.toFixed(1)} s, ${perSecond(made / seconds)}\n`,
    );
    passed += rig.passed;
    failed += rig.failed;
  }
  write(`${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

function perSecond(rate: number): string {
  return `${(rate / 1e6).toFixed(2)} M/s`;
}

function progressLine(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${text}\x1b[K`);
  else process.stderr.write(`${text}\n`);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        stride: { type: "string", default: "1" },
        offset: { type: "string", default: "0" },
        mode: { type: "string", default: modes.join(",") },
        levels: { type: "string", default: "4" },
        maxphyaddr: { type: "string", default: "46" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function positive(name: string, value: string, least = 1): number {
  const n = Number(value);
  if (!Number.isInteger(n) || n < least)
    throw new UsageError(`${name} is "${value}": a whole number from ${least}`);
  return n;
}
