import type { CoreExports } from "../core.js";

/** What the core exports for a host (docs/embedding.md). */
export interface EmbedCore extends CoreExports {
  abiVersion(): number;
  embedAddress(): number;
  embedHostMemory(calls: boolean): void;
  embedRange(at: number, kind: number): number;
  embedLeaveExits(yes: boolean): void;
  embedNoRoot(): void;
  embedTranslate(low: number, high: number, access: number): number;
  embedProbe(low: number, high: number, access: number): number;
  embedFind(low: number, high: number, access: number): number;
  embedCycles(): number;
  embedRights(): number;
  embedKind(): number;
  embedOffset(): number;
  embedMemoryType(): number;
  embedLoad(register: number): number;
  embedAc(on: boolean): void;
  embedCodeLong(yes: boolean): void;
  embedSetPat(): void;
  embedSetState(): void;
  embedGetState(): void;
  embedSetVirtualization(): void;
  embedInvlpg(): void;
  embedInvpcid(type: number): number;
  embedInvvpid(type: number): number;
  embedInvept(type: number): number;
  embedInvlpga(): void;
  embedTlbControl(control: number): void;
  embedEnter(): number;
  embedRun(): number;
  embedExit(): void;
  embedSetVpid(): void;
  embedFlushed(): number;
  embedReadGuest(): void;
  embedInstruction(low: number, high: number, storeBytes: number): void;
  embedStored(): void;
  embedHostEvent(what: number, gfn: number, frames: number): void;
  embedExitAlways(reason: number): void;
  embedSettle(): void;
  embedManyAddress(): number;
  embedManyMost(): number;
  embedMany(first: number, end: number): number;
  feedAddress(): number;
  fedAddress(): number;
}
