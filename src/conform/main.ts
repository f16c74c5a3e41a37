import { UsageError } from "../cli/io.js";
import { ConfigError } from "../config/index.js";

/**
 * The model held against references that others recorded: `npm run conform -- SUITE ...`. Each suite prints what
 * agrees and what does not, and as its last line `N passed, N failed`.
 */
type Suite = (args: readonly string[], write: (text: string) => void) => Promise<number>;

const suites: Record<string, () => Promise<Suite>> = {
  vectors: async () => (await import("./vectors.js")).conformVectors,
  npt: async () => (await import("./npt.js")).conformNpt,
  ept: async () => (await import("./ept.js")).conformEpt,
  access: async () => (await import("./access.js")).conformAccess,
  papers: async () => (await import("./papers.js")).conformPapers,
  peers: async () => (await import("./peers.js")).conformPeers,
  silicon: async () => (await import("./silicon.js")).conformSilicon,
  kvm: async () => (await import("./kvm.js")).conformKvm,
};

const [name = "", ...args] = process.argv.slice(2);
const suite = Object.hasOwn(suites, name) ? suites[name] : undefined;
if (suite === undefined) {
  process.stderr.write(`conform: give one of these suites: ${Object.keys(suites).join(", ")}\n`);
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await (await suite())(args, (text) => process.stdout.write(text));
  } catch (error) {
    process.stderr.write(`conform: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = error instanceof UsageError || error instanceof ConfigError ? 2 : 1;
  }
}
