import { resolveConfig } from "../../config/index.js";
import { AccessBit } from "../bare/exports.js";
import { FIRST_DATA, Guest } from "../guest.js";
import type { Misses } from "./published.js";
import { CODE, lineNumbers, type Program, REGION, STORE_EVERY } from "./random-lines.js";

const PAGE = 4096;
const LINE = 64;

/** Runs a program natively on the TLBs of the comparison. */
export function countMisses(program: Program, policy: "lru" | "fifo"): Misses {
  const array = (entries: number, ways: number) => JSON.stringify([{ pages: ["4k"], entries, ways, policy }]);
  const config = resolveConfig({
    set: [
      "technique=native",
      `tlb.l1i=${array(64, 4)}`,
      `tlb.l1d=${array(64, 4)}`,
      `tlb.l2=${array(1024, 8)}`,
      "tlb.l2i=[]",
      "caches.enabled=false",
    ],
  });
  const guest = new Guest(config, { seed: 1 });
  const map = (va: number, gfn: number) => {
    guest.back(gfn, gfn);
    guest.map(va, 1, gfn);
  };
  const pages = program.regionBytes / PAGE;
  for (let page = 0; page < pages; ++page) map(REGION + page * PAGE, FIRST_DATA + page);
  map(CODE, FIRST_DATA + pages);
  const next = lineNumbers(program);
  const buffer = guest.addresses();
  const batch = buffer.length / 2 - 1;
  for (let done = 0; done < program.instructions; done += batch) {
    const some = Math.min(batch, program.instructions - done);
    for (let i = 0; i < some; ++i) {
      const address = REGION + next() * LINE;
      buffer[2 * i + 2] = address >>> 0;
      buffer[2 * i + 3] = Math.floor(address / 0x1_0000_0000);
    }
    for (let i = 0; i < some; ++i) {
      buffer[0] = CODE + ((done + i) % 16) * 4;
      buffer[1] = 0;
      guest.run(0, 1, AccessBit.fetch | AccessBit.user);
      const store = (done + i) % STORE_EVERY === STORE_EVERY - 1;
      guest.run(i + 1, 1, (store ? AccessBit.write : AccessBit.read) | AccessBit.user);
    }
  }
  const broken = guest.brokenLaws();
  if (broken.length > 0) throw new Error(`${broken[0]!.name}: ${broken[0]!.detail}`);
  const structures = guest.core.structures();
  return { l1i: structures.l1i!.misses!, l1d: structures.l1d!.misses!, l2: structures.l2!.misses! };
}
