import { A, P, RW, TlbMachine, US } from "./machine.js";

/** An address of the tests, and flags that allow every access. */
export const VA = 0x80_4020_1000n;
export const ANY = P | RW | US | A;

/** A machine without a second stage, and its root table. */
export function native(regs = {}, more = {}) {
  const m = new TlbMachine(regs, undefined, more);
  const root = m.table();
  m.mmu.load("cr3", root);
  return { m, root };
}
