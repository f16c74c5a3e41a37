/** The stand-in kernel's own random numbers (xorshift64*), apart from those of the hardware, so that a policy of one changes nothing in the other. */
let state: u64 = 1;

export function seedKernel(seed: u32): void {
  state = ((<u64>seed) << 1) | 1;
  for (let i = 0; i < 8; ++i) random();
}

function random(): u64 {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 0x2545f4914f6cdd1d;
}

/** A number below `n`, which is not 0. */
export function below(n: u32): u32 {
  return <u32>(((random() >> 32) * n) >> 32);
}
