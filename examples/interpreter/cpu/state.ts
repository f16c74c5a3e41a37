export const Gpr = { rax: 0, rcx: 1, rdx: 2, rbx: 3, rsp: 4, rbp: 5, rsi: 6, rdi: 7, r11: 11 } as const;

export interface Segment {
  selector: number;
  base: bigint;
}

export interface Table {
  base: bigint;
  limit: number;
}

/** Number of bits of the code that runs: CS.L and CS.D. */
export type Width = 16 | 32 | 64;

/** The architectural state, as it is after reset but for CS:RIP, which is 0000:7C00. */
export class State {
  readonly gpr = new BigUint64Array(16);
  rip = 0x7c00n;
  rflags = 2;
  cpl = 0;
  width: Width = 16;
  /** ES, CS, SS, DS, FS, GS. */
  readonly segments: Segment[] = Array.from({ length: 6 }, () => ({ selector: 0, base: 0n }));
  readonly cs = this.segments[1]!;
  gdt: Table = { base: 0n, limit: 0xffff };
  idt: Table = { base: 0n, limit: 0x3ff };
  task: Segment = { selector: 0, base: 0n };
  cr0 = 0x10n;
  cr2 = 0n;
  cr3 = 0n;
  cr4 = 0n;
  efer = 0n;
  pkru = 0;
  star = 0n;
  lstar = 0n;
  syscallMask = 0n;
}
