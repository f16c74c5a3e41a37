/** Optimal-string-alignment distance: insertions, deletions, substitutions, and swaps of neighbours. */
export function editDistance(a: string, b: string): number {
  let twoBack: number[] = [];
  let back = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; ++i) {
    const row = [i];
    for (let j = 1; j <= b.length; ++j) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(back[j]! + 1, row[j - 1]! + 1, back[j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, twoBack[j - 2]! + 1);
      row.push(best);
    }
    twoBack = back;
    back = row;
  }
  return back[b.length]!;
}

/** The known name nearest to `name` without regard to case, if it is near enough to be meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = name.toLowerCase();
  let best: string | undefined;
  let least = Math.max(2, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of known) {
    const other = candidate.toLowerCase();
    if (Math.abs(other.length - wanted.length) >= least && !other.startsWith(wanted.slice(0, -1))) continue;
    const prefix = wanted.length >= 3 && other !== wanted && other.startsWith(wanted);
    /* Another ending of the same word, such as entry for entries. */
    const ending = wanted.length >= 5 && other.startsWith(wanted.slice(0, -1)) ? 2 : other.length;
    const distance = prefix ? 1 : Math.min(ending, editDistance(wanted, other));
    if (distance < least && distance < other.length) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

/** A name as it was given, cut short. */
export function brief(name: string): string {
  return name.length > 80 ? `${name.slice(0, 77)}...` : name;
}

/** `; did you mean "x"?`, or the names there are. */
export function suggestion(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === undefined ? `; there are ${known.join(", ")}` : `; did you mean "${near}"?`;
}
