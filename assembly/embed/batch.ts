import { hostAddressOf } from "../hypervisor/backing";
import { read64 } from "../memory/physical";
import { invalidateEverything } from "../mmu/invalidation";
import { hardwareControls } from "../mmu/tags";
import * as machine from "../technique/technique";
import { registers } from "../vcpu/registers";
import { fault, Outcome } from "../x86/fault";
import { accessThrough, guestAddressAccessed } from "./access";
import { Cell, put } from "./block";
import { embedLoad, Register } from "./instructions";

/**
 * Many operations in one call. An operation is 24 bytes; what it answers takes the place of its operands.
 *
 *   code u32 │ argument u32 │ a u64 │ b u64
 *
 *   code       argument   a                b                  answer
 *   store      -          guest-physical   value              -
 *   read       -          guest-physical   -                  b: value
 *   access     access     address          -                  argument: Outcome; a: guest-physical address; b: error code
 *   invlpg     -          address          -                  -
 *   flush      -          -                -                  everything cached is dropped
 *   load       Register   value            -                  argument: Outcome
 *   flags      EFLAGS.AC  -                -                  -
 */
export enum Operation {
  store,
  read,
  access,
  invlpg,
  flush,
  load,
  flags,
}

const OPERATION_BYTES: usize = 24;
const MOST: u32 = 1 << 16;
let operations: usize = 0;

/** Where the host writes operations: room for `embedBatchMost` of them. */
export function embedBatchAddress(): usize {
  if (operations === 0) operations = heap.alloc(<usize>MOST * OPERATION_BYTES);
  return operations;
}
export function embedBatchMost(): u32 {
  return MOST;
}

/** Carries out the first `n` operations. */
export function embedBatch(n: u32): void {
  let at = operations;
  for (let i: u32 = 0; i < n; ++i, at += OPERATION_BYTES) {
    const code = <Operation>load<u32>(at);
    const a = load<u64>(at, 8);
    if (code === Operation.store) {
      machine.storeTableEntry(a, load<u64>(at, 16));
    } else if (code === Operation.read) {
      store<u64>(at, read64(hostAddressOf(a)), 16);
    } else if (code === Operation.access) {
      const outcome = accessThrough(a, load<u32>(at, 4), 1);
      store<u32>(at, outcome, 4);
      store<u64>(at, outcome === Outcome.ok ? guestAddressAccessed() : fault.address, 8);
      store<u64>(at, outcome === Outcome.pageFault ? fault.errorCode : 0, 16);
    } else if (code === Operation.invlpg) {
      machine.invlpg(a);
    } else if (code === Operation.flush) {
      invalidateEverything();
    } else if (code === Operation.load) {
      put(Cell.value, a);
      store<u32>(at, embedLoad(<Register>load<u32>(at, 4)), 4);
    } else {
      registers.ac = load<u32>(at, 4) !== 0;
      hardwareControls.ac = registers.ac;
    }
  }
}
