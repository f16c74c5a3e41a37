/** Misses of L1I (64 entries, 4-way), L1D (64, 4-way) and a shared L2 (1024, 8-way), as other simulators count them. */
export interface Misses {
  l1i: number;
  l1d: number;
  l2: number;
}

export interface Published {
  program: string;
  policy: "lru" | "fifo";
  misses: Misses;
  source: string;
}

const row = (program: string, policy: "lru" | "fifo", l1i: number, l1d: number, l2: number): Published => ({
  program,
  policy,
  misses: { l1i, l1d, l2 },
  source: policy === "lru" ? "DynamoRIO drcachesim, and a loop in C" : "DynamoRIO drcachesim, and TLBSim",
});

export const published: readonly Published[] = [
  row("g8", "lru", 1, 1_937_321, 1_000_986),
  row("g8", "fifo", 1, 1_937_317, 1_000_229),
  row("g64", "lru", 1, 1_992_243, 1_875_224),
  row("g64", "fifo", 1, 1_992_233, 1_875_084),
  row("gups", "lru", 1, 2_999_254, 2_988_355),
  row("gups", "fifo", 1, 2_999_254, 2_988_349),
];
