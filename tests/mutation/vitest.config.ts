import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: [
      "tests/tlb-*.test.ts",
      "tests/core-*.test.ts",
      "tests/conform-access.test.ts",
      "tests/conform-second-stage.test.ts",
      "tests/conform-vectors.test.ts",
    ],
    bail: 1,
    isolate: false,
    testTimeout: 120_000,
  },
});
