/**
 * A list of places of sptes, held by a 64-bit head: nothing, one place in the head itself, or a block of them.
 * Most guest pages are mapped once, so most lists need no block. KVM: `struct kvm_rmap_head`.
 *
 *   head   0: empty │ bit 63 set: the one place │ else: address of a block
 *   block  length u32 │ capacity u32 │ place u64 × capacity
 */
const SINGLE: u64 = 1 << 63;
const HEADER: usize = 8;

export function listLength(head: u64): u32 {
  if (head === 0) return 0;
  return head & SINGLE ? 1 : load<u32>(<usize>head);
}

export function listAt(head: u64, i: u32): u64 {
  if (head & SINGLE) return head & ~SINGLE;
  return load<u64>(<usize>head + ((<usize>i) << 3), HEADER);
}

function newBlock(capacity: u32): usize {
  const block = heap.alloc(HEADER + ((<usize>capacity) << 3));
  store<u32>(block, 0);
  store<u32>(block, capacity, 4);
  return block;
}

/** Returns the new head. */
export function listAdd(head: u64, place: u64): u64 {
  if (head === 0) return place | SINGLE;
  let block = <usize>head;
  if (head & SINGLE) {
    block = newBlock(6);
    store<u64>(block, head & ~SINGLE, HEADER);
    store<u32>(block, 1);
  }
  const length = load<u32>(block);
  const capacity = load<u32>(block, 4);
  if (length === capacity) {
    const grown = newBlock(capacity << 1);
    memory.copy(grown + HEADER, block + HEADER, (<usize>length) << 3);
    heap.free(block);
    block = grown;
  }
  store<u64>(block + ((<usize>length) << 3), place, HEADER);
  store<u32>(block, length + 1);
  return <u64>block;
}

/** Returns the new head; `place` must be in the list. */
export function listRemove(head: u64, place: u64): u64 {
  if (head === 0 || head & SINGLE) return 0;
  const block = <usize>head;
  const length = load<u32>(block);
  const last = block + ((<usize>(length - 1)) << 3);
  for (let at = block; at <= last; at += 8) {
    if (load<u64>(at, HEADER) !== place) continue;
    store<u64>(at, load<u64>(last, HEADER), HEADER);
    break;
  }
  store<u32>(block, length - 1);
  if (length > 2) return head;
  const left = load<u64>(block, HEADER) | SINGLE;
  heap.free(block);
  return left;
}
