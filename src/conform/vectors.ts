import { parseArgs } from "node:util";
import { UsageError } from "../cli/io.js";
import type { VectorCase } from "./vectors/case.js";
import { checkCase } from "./vectors/check.js";
import { coreUnderTest } from "./vectors/core.js";
import { loadVectors } from "./vectors/load.js";

const usage = `npm run conform -- vectors FILE... [--nonleaf-accessed all-or-nothing|eager] [--all]

Makes each access of the vector files, from cold caches, and compares outcome, error code, addresses and every
paging-structure entry afterwards. Where a case has corrected fields (arch) they are what counts. Aspects that the
manuals leave open (impl_defined) are compared with --nonleaf-accessed eager, which walks as QEMU does.
--all prints every disagreement, not the first ${10}.
`;

const PRINTED = 10;

interface Agreement {
  passed: number;
  failed: number;
}

export async function conformVectors(
  args: readonly string[],
  write: (text: string) => void,
): Promise<number> {
  const { values, positionals: files } = parse(args);
  if (values.help) {
    write(usage);
    return 0;
  }
  if (files.length === 0) throw new UsageError(`give at least one vector file\n${usage}`);
  const policy = values["nonleaf-accessed"];
  if (policy !== "all-or-nothing" && policy !== "eager") {
    throw new UsageError(`--nonleaf-accessed is "${policy}": all-or-nothing or eager`);
  }
  const run = coreUnderTest(policy);
  const total: Agreement = { passed: 0, failed: 0 };
  let printed = 0;
  for (const file of files) {
    const categories = new Map<string, Agreement>();
    const differing: string[] = [];
    for (const vector of loadVectors(file)) {
      const differences = checkCase(vector, run);
      const category = categories.get(vector.category) ?? { passed: 0, failed: 0 };
      categories.set(vector.category, category);
      for (const sum of [category, total]) differences.length === 0 ? ++sum.passed : ++sum.failed;
      if (differences.length > 0 && (values.all || printed++ < PRINTED)) {
        differing.push(describe(vector, differences));
      }
    }
    write(`${file}\n`);
    for (const [name, { passed, failed }] of categories) {
      write(`  ${name.padEnd(20)} ${String(passed).padStart(6)} of ${passed + failed} agree\n`);
    }
    for (const text of differing) write(text);
  }
  write(`${total.passed} passed, ${total.failed} failed\n`);
  return total.failed === 0 ? 0 : 1;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        "nonleaf-accessed": { type: "string", default: "all-or-nothing" },
        all: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function describe(vector: VectorCase, differences: readonly string[]): string {
  const { id, category, kind, gva, cpl, ac, cr0, cr3, cr4, efer, pkru } = vector;
  const registers = Object.entries({ cr0, cr3, cr4, efer, pkru }).map(([name, v]) => `${name} ${hex(v)}`);
  const lines = [
    `${id} (${category}): ${kind} of ${hex(gva)} at CPL ${cpl}, AC ${ac ? 1 : 0}`,
    `  ${registers.join("  ")}`,
    ...vector.entries.map((e) => `  ${e.name.padEnd(6)} at ${hex(e.hpa)}: ${hex(e.before)}`),
    ...(vector.nested?.paths ?? []).flatMap((path) =>
      path.entries.map((e) => `  nested ${path.page}/${e.name} at ${hex(e.hpa)}: ${hex(e.before)}`),
    ),
    ...differences.map((difference) => `  DIFFERS: ${difference}`),
  ];
  return `${lines.join("\n")}\n`;
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
