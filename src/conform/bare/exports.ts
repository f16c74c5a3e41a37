import type { EmbedCore } from "../../embed/core-exports.js";

export { Access as AccessBit, Cell, Register, Status as OutcomeCode } from "../../generated/abi.js";

/** What the core exports beside: for a host that owns its memory and has no TLBs in the way (assembly/embed/). */
export interface EmbedExports extends EmbedCore {
  embedClear(): void;
  embedRead(bytes: number): void;
  embedWrite(bytes: number): void;
  embedStoreEntry(): void;
  embedWalk(access: number): number;
  embedAccess(access: number, bytes: number): number;
  embedResolve(outcome: number, access: number): number;
  embedLoaded(register: number): void;
  embedResume(): void;
  embedBatchAddress(): number;
  embedBatchMost(): number;
  embedBatch(operations: number): void;
  embedSequenceAddress(): number;
  embedSequenceMost(): number;
  embedSequence(first: number, accesses: number, access: number): void;
}

/** `Resolution` of assembly/technique/resolution.ts. */
export const Resolution = { retry: 0, guestFault: 1, emulated: 2, leave: 3 } as const;
