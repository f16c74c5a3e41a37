import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

/** Beside what Notebook Kit sets: the notebooks use the package that they lie in, its page and its traces. */
export default defineConfig({
  worker: { format: "es" },
  build: { target: "es2023", assetsInlineLimit: 0, chunkSizeWarningLimit: 6000 },
  server: { fs: { allow: [fileURLToPath(new URL("..", import.meta.url))] } },
});
