import { UsageError } from "../cli/io.js";
import type { Check } from "./papers/check.js";
import { exitChecks } from "./papers/exits.js";
import { referenceChecks } from "./papers/references.js";
import { shapeChecks } from "./papers/shapes.js";
import { suiteArguments, Tally } from "./suite.js";

const usage = `npm run conform -- papers [TRACES_DIR]

Reproduces what papers publish of native, shadow and nested paging: references of a walk, exits of a guest page fault,
and, on the recorded guests of TRACES_DIR (traces), which technique costs more where.
`;

export async function conformPapers(args: readonly string[], write: (text: string) => void): Promise<number> {
  const { values, positionals } = suiteArguments(args, usage, {});
  if (values.help) {
    write(usage);
    return 0;
  }
  if (positionals.length > 1) throw new UsageError(usage);
  const [folder = "traces"] = positionals;
  const tally = new Tally();
  const show = (checks: readonly Check[]) => {
    for (const check of checks) {
      tally.add(check.passed);
      write(
        `${check.passed ? "ok    " : "DIFFERS"} ${check.what}: expected ${check.expected}, found ${check.found}  (${check.source})\n`,
      );
    }
  };
  show(referenceChecks());
  show(exitChecks());
  show(await shapeChecks(folder));
  write(tally.line);
  return tally.exitCode;
}
