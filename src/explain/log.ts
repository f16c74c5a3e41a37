/** The core's log of an access (assembly/explain/log.ts), as it is. */

/** What the core exports for explanations. */
export interface ExplainExports {
  readonly memory: WebAssembly.Memory;
  explainBegin(): void;
  explainEnd(): void;
  explainProbe(vaLow: number, vaHigh: number, access: number, cold: boolean): void;
  explainLogAddress(): number;
  explainLogLength(): number;
  explainStateAddress(): number;
}

/** `Step` of assembly/explain/log.ts. */
export const StepCode = {
  tlb: 0,
  walk: 1,
  psc: 2,
  nestedTlb: 3,
  pdpte: 4,
  reference: 5,
  software: 6,
  flags: 7,
  refusal: 8,
  walkEnd: 9,
  fill: 10,
  exit: 11,
  resolution: 12,
  done: 13,
  shadowPage: 14,
} as const;

export interface RawStep {
  code: number;
  /** 0 guest, 1 host, 2 shadow. */
  tables: number;
  guestLevel: number;
  hostLevel: number;
  came: number;
  detail: number;
  /** Whether it belongs to the access, and not to the reading of tables beside it. */
  ofAccess: boolean;
  cycles: number;
  address: bigint;
  hostAddress: bigint;
  value: bigint;
  further: bigint;
}

const STEP_BYTES = 48;

export function readLog(core: ExplainExports): RawStep[] {
  const view = new DataView(core.memory.buffer, core.explainLogAddress());
  return Array.from({ length: core.explainLogLength() }, (_, i) => {
    const at = i * STEP_BYTES;
    return {
      code: view.getUint8(at),
      tables: view.getUint8(at + 1),
      guestLevel: view.getUint8(at + 2),
      hostLevel: view.getUint8(at + 3),
      came: view.getUint8(at + 4),
      detail: view.getUint8(at + 5),
      ofAccess: view.getUint16(at + 6, true) === 0,
      cycles: view.getUint32(at + 8, true),
      address: view.getBigUint64(at + 16, true),
      hostAddress: view.getBigUint64(at + 24, true),
      value: view.getBigUint64(at + 32, true),
      further: view.getBigUint64(at + 40, true),
    };
  });
}

/** The state (assembly/explain/state.ts). */
export interface RawState {
  technique: number;
  guestLevels: number;
  entryBytes: number;
  pse36: boolean;
  noExecute: boolean;
  pdpteRegisters: boolean;
  /** 0 none, 1 EPT, 2 NPT. */
  second: number;
  hostLevels: number;
  hostRoot: bigint;
  hostFlags: boolean;
  modeBased: boolean;
  hardwareLevels: number;
  hardwareRoot: bigint;
  cr0: bigint;
  cr3: bigint;
  cr4: bigint;
  efer: bigint;
  pkru: bigint;
  pkrs: bigint;
  ac: boolean;
  cpl: number;
  vpid: number;
  pcid: number;
  hostNoExecute: boolean;
}

export function readState(core: ExplainExports): RawState {
  const cells = new BigUint64Array(core.memory.buffer, core.explainStateAddress(), 32).slice();
  const number = (i: number) => Number(cells[i]);
  return {
    technique: number(0),
    guestLevels: number(1),
    entryBytes: number(2),
    pse36: number(3) !== 0,
    noExecute: number(4) !== 0,
    pdpteRegisters: number(5) !== 0,
    second: number(6),
    hostLevels: number(7),
    hostRoot: cells[8]!,
    hostFlags: number(9) !== 0,
    modeBased: number(10) !== 0,
    hardwareLevels: number(11),
    hardwareRoot: cells[12]!,
    cr0: cells[13]!,
    cr3: cells[14]!,
    cr4: cells[15]!,
    efer: cells[16]!,
    pkru: cells[17]!,
    pkrs: cells[18]!,
    ac: number(19) !== 0,
    cpl: number(20),
    vpid: number(21),
    pcid: number(22),
    hostNoExecute: number(24) !== 0,
  };
}
