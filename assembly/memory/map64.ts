/**
 * A map from a 64-bit key to a 64-bit value: open addressing, at most half full, no removal (store 0 or another
 * value that the owner reads as "none").
 *
 *   ┌─────────────┬───────────┐
 *   │ key + 1 u64 │ value u64 │  × capacity
 *   └─────────────┴───────────┘
 */
@unmanaged
export class Map64 {
  slots: usize;
  capacity: u32;
  used: u32;

  init(capacity: u32): void {
    this.capacity = capacity;
    this.used = 0;
    this.slots = heap.alloc((<usize>capacity) << 4);
    memory.fill(this.slots, 0, (<usize>capacity) << 4);
  }

  slotOf(key: u64): usize {
    const mask = this.capacity - 1;
    let i = <u32>((key * 0x9e3779b97f4a7c15) >> 32) & mask;
    while (true) {
      const at = this.slots + ((<usize>i) << 4);
      const found = load<u64>(at);
      if (found === 0 || found === key + 1) return at;
      i = (i + 1) & mask;
    }
  }

  has(key: u64): bool {
    return load<u64>(this.slotOf(key)) !== 0;
  }

  /** The value, or `none`. */
  get(key: u64, none: u64 = 0): u64 {
    const at = this.slotOf(key);
    return load<u64>(at) === 0 ? none : load<u64>(at, 8);
  }

  set(key: u64, value: u64): void {
    let at = this.slotOf(key);
    if (load<u64>(at) === 0) {
      if ((this.used + 1) << 1 > this.capacity) {
        this.grow();
        at = this.slotOf(key);
      }
      store<u64>(at, key + 1);
      ++this.used;
    }
    store<u64>(at, value, 8);
  }

  clear(): void {
    memory.fill(this.slots, 0, (<usize>this.capacity) << 4);
    this.used = 0;
  }

  grow(): void {
    const old = this.slots;
    const oldCapacity = this.capacity;
    this.init(oldCapacity << 1);
    for (let i: u32 = 0; i < oldCapacity; ++i) {
      const at = old + ((<usize>i) << 4);
      const key = load<u64>(at);
      if (key !== 0) this.set(key - 1, load<u64>(at, 8));
    }
    heap.free(old);
  }
}

export function newMap64(capacity: u32 = 1 << 10): Map64 {
  const map = new Map64();
  map.init(capacity);
  return map;
}
