/** What an instruction throws when it cannot be carried out; registers are as they were before it. */
export class GuestException {
  constructor(
    readonly vector: number,
    readonly errorCode?: number,
    /** Of a page fault. */
    readonly address = 0n,
  ) {}
}

export const Vector = { de: 0, bp: 3, ud: 6, df: 8, gp: 13, pf: 14 } as const;

export function undefinedOpcode(): GuestException {
  return new GuestException(Vector.ud);
}
export function generalProtection(errorCode = 0): GuestException {
  return new GuestException(Vector.gp, errorCode);
}

/** The CPU cannot go on: HLT with interrupts off, a triple fault, or something this interpreter does not do. */
export class Stop {
  constructor(readonly reason: string) {}
}
