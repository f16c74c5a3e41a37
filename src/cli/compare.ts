import type { Io } from "./io.js";
import { replayCommand, replayOptionsHelp } from "./replay.js";

export const compareHelp = `nestwalk compare TRACE [options]

Replays one recorded guest through several machines that differ only in how they
virtualize memory, and puts what each paid side by side: TLB hits, page walks and the
references in them, VM exits by reason, cycles. Every access is checked against the
recorded true mapping.

TRACE is recognised by its content, plain or compressed; nestwalk trace formats lists what
can be read; - is standard input.

  -t, --technique LIST native, shadow, ept, npt; separated by commas
                       (default native,shadow and the CPU vendor's: ept or npt; or native
                       and what the configuration names as technique)
${replayOptionsHelp}

Examples
  nestwalk compare traces/pipe-pti.nwt
  nestwalk compare traces/pipe-pti.nwt -t native,shadow,ept,npt --cpu zen4
  nestwalk compare traces/sqlite.nwt --host-page 2m --set tlb.l2.0.entries=3072
  nestwalk compare traces/sqlite.nwt --json - | jq '.machines[].cycles.total'
`;

export function compareCommand(args: readonly string[], io: Io): Promise<number> {
  return replayCommand(
    {
      name: "compare",
      help: compareHelp,
      machines: "several",
    },
    args,
    io,
  );
}
