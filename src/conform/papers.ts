import { parseArgs } from "node:util";
import { UsageError } from "../cli/io.js";
import type { Check } from "./papers/check.js";
import { exitChecks } from "./papers/exits.js";
import { referenceChecks } from "./papers/references.js";
import { shapeChecks } from "./papers/shapes.js";

const usage = `npm run conform -- papers [TRACES_DIR]

Reproduces what papers publish of native, shadow and nested paging: references of a walk, exits of a guest page fault,
and, on the recorded guests of TRACES_DIR (traces), which technique costs more where.
`;

export async function conformPapers(args: readonly string[], write: (text: string) => void): Promise<number> {
  const { values, positionals } = parse(args);
  if (values.help) {
    write(usage);
    return 0;
  }
  if (positionals.length > 1) throw new UsageError(usage);
  const [folder = "traces"] = positionals;
  let passed = 0;
  let failed = 0;
  const show = (checks: readonly Check[]) => {
    for (const check of checks) {
      check.passed ? ++passed : ++failed;
      write(
        `${check.passed ? "ok    " : "DIFFERS"} ${check.what}: expected ${check.expected}, found ${check.found}  (${check.source})\n`,
      );
    }
  };
  show(referenceChecks());
  show(exitChecks());
  show(await shapeChecks(folder));
  write(`${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { help: { type: "boolean", short: "h" } },
    });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${usage}`);
  }
}
