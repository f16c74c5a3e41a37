import {
  type Explanation,
  explainAddress,
  explainTrace,
  explanationText,
  type Wanted,
} from "../explain/index.js";
import { ansi, plain } from "../report/style.js";
import { requestedMachines } from "../request/index.js";
import { shareRead } from "../trace/source.js";
import { type OptionSpecs, type Parsed, parseArguments, positional } from "./arguments.js";
import { writeHelp } from "./help.js";
import { type Io, mayColour, UsageError } from "./io.js";
import {
  coreBuild,
  coreOptionHelp,
  machineOptions,
  machineOptionsHelp,
  machineRequest,
  precedenceHelp,
} from "./machines.js";
import { mustBeWritable, writeJson } from "./output.js";
import { startProgress } from "./progress.js";
import { count, inputOptions, inputOptionsHelp, openInput, warnTruncated } from "./trace-input.js";

export const explainHelp = `nestwalk explain TRACE [options]

Replays a trace up to one access and explains it as a person reads it: where the TLBs and
paging-structure caches were asked, each entry of a walk with its address, value and bits,
where it was found and what it cost; in two dimensions the grid of the walk; under shadow
paging the guest's tables beside the hypervisor's; for a fault which check failed at which
entry.

  --at N               the access, counted from 1: what it did. With --va: replay N accesses,
                       then say what an access to ADDRESS would do (default: the whole trace)
  --event N            in place of --at, a record of the trace, counted from 0 as in messages
  --next WHAT          the first from there on that does a walk, a fault or an exit
  --count N            so many of them, one after the other (default 1)
  --va ADDRESS         an address, such as 0x7f00deadb000: what an access to it would do, up to
                       the fault or the exit; nothing is changed by it
  --access KIND        with --va: read, write or fetch (default read)
  --mode WHO           with --va: user or supervisor (default: as the guest runs)
  --cold               with --va: as if TLBs and paging-structure caches were empty

  -t, --technique NAME native, shadow, ept or npt
                       (default: what the configuration says; else ept, or npt for AMD)
${machineOptionsHelp}
  --json FILE          write the explanations as JSON; - writes it, and nothing else, to stdout
${coreOptionHelp}

How to read TRACE, where it leaves that open
${inputOptionsHelp}

${precedenceHelp}

Examples
  nestwalk explain traces/redis.nwt --at 1000000
  nestwalk explain traces/redis.nwt --at 1M --next walk -t npt --cpu zen4
  nestwalk explain traces/redis.nwt --at 1M --va 0xffffffff81000000 --cold -t ept
  nestwalk explain traces/pipe-pti.nwt --at 1 --next exit -t shadow
`;

const options: OptionSpecs = {
  ...machineOptions,
  at: { type: "string" },
  event: { type: "string" },
  next: { type: "string" },
  count: { type: "string" },
  va: { type: "string" },
  access: { type: "string" },
  mode: { type: "string" },
  cold: { type: "boolean" },
  json: { type: "string" },
  ...inputOptions,
};

export async function explainCommand(args: readonly string[], io: Io): Promise<number> {
  const parsed = parseArguments("explain", args, options);
  if (parsed.values.help) {
    writeHelp(io, explainHelp);
    return 0;
  }
  const { TRACE } = positional("explain", parsed.positionals, "TRACE");
  const core = coreBuild(parsed);
  const [config] = requestedMachines(await machineRequest("explain", "one", parsed), "one");
  const place = placeOf(parsed);
  const address = addressOf(parsed);
  const next = oneOf(parsed, "next", ["walk", "fault", "exit"]) as Wanted | undefined;
  const howMany = count(parsed, "count", 1);
  if (address === undefined) refuseWithout(parsed, "va", ["access", "mode", "cold"]);
  else refuseWith(parsed, "va", ["next", "count"]);
  if (address === undefined && place.at === undefined && place.event === undefined && next === undefined)
    throw new UsageError("explain needs --at N, the access to explain; or --event, --next or --va");
  const json = parsed.values.json as string | undefined;
  if (json !== undefined && json !== "-") await mustBeWritable(json);

  const trace = await openInput(TRACE, parsed);
  const progress = startProgress(io, 1, false);
  const onProgress = (accesses: number) =>
    progress.update({ fraction: shareRead(trace, accesses), accesses });
  let explanations: Explanation[];
  try {
    explanations =
      address === undefined
        ? await explainTrace(trace, config!, {
            ...place,
            core,
            onProgress,
            ...(next ? { next } : {}),
            ...(howMany ? { count: howMany } : {}),
          })
        : [await explainAddress(trace, config!, { ...place, ...address, core, onProgress })];
  } finally {
    progress.end();
  }
  if (json !== undefined) await writeJson(io, json, explanations);
  if (json !== "-") {
    const paint = mayColour(io, io.stdout) ? ansi : plain;
    const width = Math.max(40, io.stdout.columns || 100);
    const texts = explanations.map((one) => explanationText(one, { paint, width }).join("\n"));
    io.stdout.write(`${texts.join("\n\n")}\n`);
  }
  warnTruncated(trace, io);
  return 0;
}

function placeOf(parsed: Parsed): { at?: number; event?: number } {
  const at = count(parsed, "at", 1);
  const event = count(parsed, "event", 0);
  if (at !== undefined && event !== undefined)
    throw new UsageError("--at and --event both say where; leave one out");
  return { ...(at === undefined ? {} : { at }), ...(event === undefined ? {} : { event }) };
}

function addressOf(parsed: Parsed) {
  const text = parsed.values.va as string | undefined;
  if (text === undefined) return undefined;
  if (!/^(0x[0-9a-f]{1,16}|\d{1,20})$/i.test(text) || BigInt(text) >> 64n !== 0n)
    throw new UsageError(`--va is "${text}"; it must be an address of up to 64 bits, such as 0x7f00deadb000`);
  const kind = oneOf(parsed, "access", ["read", "write", "fetch"]) as "read" | "write" | "fetch" | undefined;
  const mode = oneOf(parsed, "mode", ["user", "supervisor"]);
  const access = { ...(kind ? { kind } : {}), ...(mode ? { user: mode === "user" } : {}) };
  return { va: BigInt(text), access, cold: parsed.values.cold === true };
}

function oneOf(parsed: Parsed, option: string, names: readonly string[]): string | undefined {
  const value = parsed.values[option] as string | undefined;
  if (value !== undefined && !names.includes(value))
    throw new UsageError(
      `--${option} is "${value}"; it must be ${names.slice(0, -1).join(", ")} or ${names.at(-1)}`,
    );
  return value;
}

function refuseWithout(parsed: Parsed, needed: string, names: readonly string[]): void {
  const given = names.find((name) => parsed.values[name] !== undefined);
  if (given !== undefined)
    throw new UsageError(`--${given} is about an address that is asked for; give --${needed} as well`);
}

function refuseWith(parsed: Parsed, other: string, names: readonly string[]): void {
  const given = names.find((name) => parsed.values[name] !== undefined);
  if (given !== undefined)
    throw new UsageError(
      `--${given} is about what the trace does, and --${other} asks what it does not do; leave one out`,
    );
}
