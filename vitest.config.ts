import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    globalSetup: process.env.NESTWALK_NO_BUILD ? [] : ["tests/setup.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    /* Two files at a time on two processors, too. */
    maxWorkers: Math.max(2, availableParallelism() - 1),
  },
});
