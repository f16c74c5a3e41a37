import { type ParseArgsConfig, parseArgs } from "node:util";
import { UsageError } from "../cli/io.js";

/** What suites share: how their command lines are read, and the count of what agrees. */

type Options = NonNullable<ParseArgsConfig["options"]>;
const HELP = { help: { type: "boolean", short: "h" } } as const;

interface Config<O extends Options> {
  args: string[];
  allowPositionals: true;
  options: O & typeof HELP;
}

/** The arguments of a suite. Throws UsageError, which shows `usage`, where they cannot be understood. */
export function suiteArguments<O extends Options>(
  args: readonly string[],
  usage: string,
  options: O,
): ReturnType<typeof parseArgs<Config<O>>> {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options: { ...options, ...HELP } });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${usage}`);
  }
}

export class Tally {
  #passed = 0;
  #failed = 0;

  add(agrees: boolean): void {
    agrees ? ++this.#passed : ++this.#failed;
  }

  /** The last line of every suite. */
  get line(): string {
    return `${this.#passed} passed, ${this.#failed} failed\n`;
  }

  get exitCode(): number {
    return this.#failed === 0 ? 0 : 1;
  }
}
