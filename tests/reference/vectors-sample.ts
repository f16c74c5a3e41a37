import { parseVector } from "../../src/conform/vectors/case.js";

const EVERY = 22;

/**
 * The slice that is kept beside this file: of each set, category, outcome and mark of the whole, the first
 * and every 22nd after it. Needs the lines in file order, files in order of name.
 */
export function chooseSample(lines: string[]): string[] {
  const seen = new Map<string, number>();
  return lines.filter((line) => {
    const { id, category, expected, implementationDefined, follows } = parseVector(line);
    const outcome = expected.ok ? "ok" : "fault" in expected ? expected.fault : expected.exit;
    const set = id.slice(0, id.indexOf("/"));
    const group = [set, category, outcome, follows, ...implementationDefined].join();
    const position = seen.get(group) ?? 0;
    seen.set(group, position + 1);
    return position % EVERY === 0;
  });
}
