/** Integer arithmetic of 1, 2, 4 and 8 bytes, with the flags it sets. */

export const CF = 1 << 0;
export const PF = 1 << 2;
export const AF = 1 << 4;
export const ZF = 1 << 6;
export const SF = 1 << 7;
export const DF = 1 << 10;
export const IF = 1 << 9;
export const OF = 1 << 11;
export const AC = 1 << 18;
export const STATUS = CF | PF | AF | ZF | SF | OF;

export interface Result {
  value: bigint;
  /** The status flags, all of them. */
  flags: number;
}

const MASKS = Array.from({ length: 9 }, (_, bytes) => (1n << BigInt(8 * bytes)) - 1n);

export function maskOf(bytes: number): bigint {
  return MASKS[bytes]!;
}

export function signExtend(value: bigint, bytes: number): bigint {
  return BigInt.asIntN(8 * bytes, value);
}

function isNegative(value: bigint, bytes: number): boolean {
  return value >> BigInt(8 * bytes - 1) !== 0n;
}

function evenParity(value: bigint): boolean {
  let byte = Number(value & 0xffn);
  byte ^= byte >> 4;
  byte ^= byte >> 2;
  byte ^= byte >> 1;
  return (byte & 1) === 0;
}

function zeroSignParity(value: bigint, bytes: number): number {
  return (value === 0n ? ZF : 0) | (isNegative(value, bytes) ? SF : 0) | (evenParity(value) ? PF : 0);
}

export function add(a: bigint, b: bigint, bytes: number, carry = 0n): Result {
  const mask = maskOf(bytes);
  const sum = a + b + carry;
  const value = sum & mask;
  const flags =
    zeroSignParity(value, bytes) |
    (sum > mask ? CF : 0) |
    (isNegative((a ^ value) & (b ^ value), bytes) ? OF : 0) |
    ((a ^ b ^ value) & 16n ? AF : 0);
  return { value, flags };
}

export function subtract(a: bigint, b: bigint, bytes: number, borrow = 0n): Result {
  const value = (a - b - borrow) & maskOf(bytes);
  const flags =
    zeroSignParity(value, bytes) |
    (a < b + borrow ? CF : 0) |
    (isNegative((a ^ b) & (a ^ value), bytes) ? OF : 0) |
    ((a ^ b ^ value) & 16n ? AF : 0);
  return { value, flags };
}

function logic(value: bigint, bytes: number): Result {
  return { value, flags: zeroSignParity(value, bytes) };
}

/** Operations by their number in opcodes 00-3F and group 1; 7, CMP, is a subtraction whose value nobody stores. */
export function arithmetic(operation: number, a: bigint, b: bigint, bytes: number, flags: number): Result {
  const carry = BigInt(flags & CF);
  switch (operation) {
    case 0:
      return add(a, b, bytes);
    case 1:
      return logic(a | b, bytes);
    case 2:
      return add(a, b, bytes, carry);
    case 3:
      return subtract(a, b, bytes, carry);
    case 4:
      return logic(a & b, bytes);
    case 6:
      return logic(a ^ b, bytes);
    default:
      return subtract(a, b, bytes);
  }
}

/** Group 2 by the number in ModRM: ROL 0, ROR 1, SHL 4, SHR 5, SAR 7. Undefined for the others, and where nothing shifts. */
export function shift(
  operation: number,
  a: bigint,
  count: number,
  bytes: number,
  flags: number,
): Result | undefined {
  const width = 8 * bytes;
  const n = BigInt(count & (bytes === 8 ? 63 : 31));
  if (n === 0n) return undefined;
  const mask = maskOf(bytes);
  const top = BigInt(width - 1);
  const kept = flags & STATUS & ~(CF | OF);
  if (operation <= 1) {
    const turn = operation === 0 ? n % BigInt(width) : (BigInt(width) - (n % BigInt(width))) % BigInt(width);
    const value = ((a << turn) | (a >> (BigInt(width) - turn))) & mask;
    const carry = operation === 0 ? value & 1n : value >> top;
    const other = operation === 0 ? value >> top : (value >> (top - 1n)) & 1n;
    return { value, flags: kept | (carry ? CF : 0) | (carry !== other ? OF : 0) };
  }
  let value: bigint;
  let carry: bigint;
  let overflow: boolean;
  if (operation === 5) {
    value = a >> n;
    carry = (a >> (n - 1n)) & 1n;
    overflow = a >> top !== 0n;
  } else if (operation === 7) {
    value = (signExtend(a, bytes) >> n) & mask;
    carry = (signExtend(a, bytes) >> (n - 1n)) & 1n;
    overflow = false;
  } else {
    value = (a << n) & mask;
    carry = ((a << n) >> BigInt(width)) & 1n;
    overflow = value >> top !== carry;
  }
  return { value, flags: zeroSignParity(value, bytes) | (carry ? CF : 0) | (overflow ? OF : 0) };
}

/** Condition codes of Jcc, SETcc and CMOVcc. */
export function holds(condition: number, flags: number): boolean {
  const sign = (flags & SF) !== 0;
  const overflow = (flags & OF) !== 0;
  let yes: boolean;
  switch (condition >> 1) {
    case 0:
      yes = overflow;
      break;
    case 1:
      yes = (flags & CF) !== 0;
      break;
    case 2:
      yes = (flags & ZF) !== 0;
      break;
    case 3:
      yes = (flags & (CF | ZF)) !== 0;
      break;
    case 4:
      yes = sign;
      break;
    case 5:
      yes = (flags & PF) !== 0;
      break;
    case 6:
      yes = sign !== overflow;
      break;
    default:
      yes = (flags & ZF) !== 0 || sign !== overflow;
  }
  return (condition & 1) === 0 ? yes : !yes;
}
