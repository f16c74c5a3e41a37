import type { Io } from "./io.js";
import { replayCommand, replayOptionsHelp } from "./replay.js";

export const runHelp = `nestwalk run TRACE [options]

Replays one recorded guest through one machine and prints what its memory accesses paid.
The same as compare, without a second machine to compare with.

  -t, --technique NAME native, shadow, ept or npt
                       (default: what the configuration says; else ept, or npt for AMD)
${replayOptionsHelp}

Examples
  nestwalk run traces/sqlite.nwt --technique npt --cpu zen5
  nestwalk run traces/sqlite.nwt -t native --set caches.enabled=false
  nestwalk run traces/sqlite.nwt -t shadow --quiet --json shadow.json
`;

export function runCommand(args: readonly string[], io: Io): Promise<number> {
  return replayCommand({ name: "run", help: runHelp, machines: "one" }, args, io);
}
