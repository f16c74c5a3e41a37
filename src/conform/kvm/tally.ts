import type { Difference } from "./compare.js";

interface Row {
  passed: number;
  failed: number;
  /** Phases in which a figure differs, by figure. */
  readonly figures: Map<string, number>;
}

/** Phases that agree in every figure, by mode, kernel and workload. */
export class Tally {
  passed = 0;
  failed = 0;
  private readonly rows = new Map<string, Row>();

  add(mode: string, kernel: string, workload: string, found: readonly Difference[]): void {
    const key = [mode, kernel, workload].join(" ");
    let row = this.rows.get(key);
    if (row === undefined) {
      row = { passed: 0, failed: 0, figures: new Map() };
      this.rows.set(key, row);
    }
    if (found.length === 0) {
      ++this.passed;
      ++row.passed;
      return;
    }
    ++this.failed;
    ++row.failed;
    for (const { figure } of found) row.figures.set(figure, (row.figures.get(figure) ?? 0) + 1);
  }

  text(): string {
    const lines = ["mode           kernel  workload  phases equal  figures that differ (phases)"];
    for (const [key, row] of [...this.rows].sort(([a], [b]) => compareKeys(a, b))) {
      const [mode = "", kernel = "", workload = ""] = key.split(" ");
      const equal = `${row.passed}/${row.passed + row.failed}`;
      const figures = [...row.figures].sort((a, b) => b[1] - a[1]).map(([name, n]) => `${name} (${n})`);
      lines.push(
        `${mode.padEnd(15)}${kernel.padEnd(8)}${workload.padEnd(10)}${equal.padEnd(14)}${figures.join(", ")}`.trimEnd(),
      );
    }
    return `${lines.join("\n")}\n${this.passed} passed, ${this.failed} failed\n`;
  }
}

/** Workloads by number. */
function compareKeys(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}
