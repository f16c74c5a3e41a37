import { Outcome } from "../x86/fault";
import { Resolution } from "./resolution";

export function startShadow(): void {}
export function resolveShadow(outcome: Outcome, va: u64, access: u32): Resolution {
  return Resolution.guestFault;
}
export function loadCr0(value: u64): void {}
export function loadCr3(value: u64): void {}
export function loadCr4(value: u64): void {}
export function loadEfer(value: u64): void {}
export function invlpg(va: u64): void {}
export function invpcid(type: u32, pcid: u32, va: u64): void {}
export function tableEntryStored(gpa: u64, value: u64): void {}
export function tablePageReplaced(gfn: u64, content: usize): void {}
