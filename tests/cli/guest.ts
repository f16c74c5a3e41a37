import { RecordEncoder } from "../../src/trace/encode.js";

/** One user page table with 16 pages of code and data at 4 MiB, and a loop over them: `rounds` * 17 accesses. */
export function pagesGuest(rounds: number, end = true): Uint8Array {
  const e = new RecordEncoder();
  e.cr0(0x80050033).cr4(0x20).efer(0xd01).cr3(0x1000);
  const user = 0x67n;
  e.ptp(1, 4, [[0, 0x2000n | user]]).ptp(2, 3, [[0, 0x3000n | user]]);
  e.ptp(3, 2, [[2, 0x4000n | user]]);
  e.ptp(
    4,
    1,
    Array.from({ length: 16 }, (_, i) => [i, (BigInt(0x10 + i) << 12n) | user] as const),
  );
  e.mode(3);
  for (let i = 0; i < 16; i++) e.map(0x400000 + i * 4096, 0x10000 + i * 4096);
  for (let round = 0; round < rounds; round++) {
    e.fetch(0x400000, 4);
    for (let i = 0; i < 16; i++) e.read(0x400000 + i * 4096 + 8, 8);
  }
  e.insn(4);
  return (end ? e.end() : e).take();
}
