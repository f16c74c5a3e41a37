/** One published figure beside ours. */
export interface Check {
  what: string;
  expected: string;
  found: string;
  passed: boolean;
  source: string;
}

export function exact(what: string, expected: number, found: number, source: string): Check {
  return { what, expected: String(expected), found: String(found), passed: expected === found, source };
}
