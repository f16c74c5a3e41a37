/** What the core exports for a host that owns registers and memory (assembly/embed/). */
export interface EmbedExports {
  readonly memory: WebAssembly.Memory;
  start(): void;
  embedAddress(): number;
  embedLeaveExits(yes: boolean): void;
  embedSetState(): void;
  embedGetState(): void;
  embedSetVirtualization(): void;
  embedClear(): void;
  embedFlush(): void;
  embedRead(bytes: number): void;
  embedWrite(bytes: number): void;
  embedReadGuest(): void;
  embedStoreEntry(): void;
  embedWalk(access: number): number;
  embedAccess(access: number, bytes: number): number;
  embedResolve(outcome: number, access: number): number;
  embedLoad(register: number): number;
  embedLoaded(register: number): void;
  embedAc(on: boolean): void;
  embedInvlpg(): void;
  embedInvpcid(type: number): number;
  embedInvvpid(type: number): number;
  embedInvept(type: number): number;
  embedInvlpga(): void;
  embedTlbControl(control: number): void;
  embedEnter(): number;
  embedExit(): void;
  embedInstruction(low: number, high: number, storeBytes: number): void;
  embedHostEvent(what: number, gfn: number, frames: number): void;
  embedExitAlways(reason: number): void;
  embedResume(): void;
  embedBatchAddress(): number;
  embedBatchMost(): number;
  embedBatch(operations: number): void;
  embedSequenceAddress(): number;
  embedSequenceMost(): number;
  embedSequence(first: number, accesses: number, access: number): void;
}

/** Cells of the block at `embedAddress` (assembly/embed/block.ts). */
export const Cell = {
  pdptes: 7,
  secondRoot: 11,
  address: 12,
  value: 13,
  vpid: 14,
  codeLong: 15,
  hostPhysical: 16,
  guestPhysical: 17,
  entry: 18,
  errorCode: 20,
  faultAddress: 21,
  qualification: 22,
  exitAddress: 23,
  references: 24,
  veArea: 25,
  eptpIndex: 26,
  pmlBase: 27,
  pmlIndex: 28,
} as const;

/** Registers of `embedLoad`. */
export const Register = { cr0: 0, cr3: 1, cr4: 2, efer: 3, pkru: 4, pkrs: 5 } as const;

/** `Outcome` of assembly/x86/fault.ts. */
export const OutcomeCode = {
  ok: 0,
  pageFault: 1,
  generalProtection: 2,
  eptViolation: 3,
  eptMisconfig: 4,
  nestedPageFault: 5,
  pmlFull: 6,
  virtualizationException: 7,
  vmFail: 8,
} as const;

/** `Resolution` of assembly/technique/resolution.ts. */
export const Resolution = { retry: 0, guestFault: 1, emulated: 2, leave: 3 } as const;

/** Bits of an access (assembly/x86/access.ts). */
export const AccessBit = { read: 0, write: 1, fetch: 2, user: 4, implicit: 8, shadowStack: 16 } as const;
