/** Ranges of page numbers, ascending and apart, each with a value. */
@unmanaged
export class Ranges {
  /** first u64 │ end u64 │ value u64, × capacity */
  rows: usize;
  capacity: u32;
  length: u32;

  add(first: u64, end: u64, value: u64): void {
    if (this.length === this.capacity) {
      this.capacity = max<u32>(64, this.capacity << 1);
      this.rows =
        this.rows === 0 ? heap.alloc(this.capacity * 24) : heap.realloc(this.rows, this.capacity * 24);
    }
    const at = this.rows + this.length++ * 24;
    store<u64>(at, first);
    store<u64>(at, end, 8);
    store<u64>(at, value, 16);
  }

  /** Address of the row that holds `page`, or 0. */
  find(page: u64): usize {
    let low: u32 = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (load<u64>(this.rows + middle * 24, 8) <= page) low = middle + 1;
      else high = middle;
    }
    const at = this.rows + low * 24;
    return low < this.length && load<u64>(at) <= page ? at : 0;
  }
}

export function newRanges(): Ranges {
  const ranges = new Ranges();
  ranges.rows = 0;
  ranges.capacity = 0;
  ranges.length = 0;
  return ranges;
}
