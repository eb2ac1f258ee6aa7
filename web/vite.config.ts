import react from "@vitejs/plugin-react";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** The service that `npm run dev` talks to: the mock of dev/mock.py or a real `firstlight serve`. */
const service = process.env["FIRSTLIGHT_SERVICE"] ?? "http://127.0.0.1:8000";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The service serves the pages under a content security policy without 'unsafe-eval': such code would fail in the browser. */
const noCodeFromStrings: Plugin = {
  name: "no-code-from-strings",
  generateBundle(_, bundle) {
    for (const [name, chunk] of Object.entries(bundle)) {
      const found = chunk.type === "chunk" && /\bnew Function\b|(?<![.\w$])eval\(/.exec(chunk.code);
      if (found) this.error(`${name} makes code from strings: …${chunk.code.slice(found.index - 80, found.index + 80)}…`);
    }
  },
};

export default defineConfig({
  plugins: [react(), noCodeFromStrings],
  resolve: {
    alias: [
      { find: /^ndarray$/, replacement: here("src/views/ndarray.ts") },
      // compiles functions from strings; @h5web/app uses one of them
      { find: /^ndarray-ops$/, replacement: here("src/views/ndarray-ops.ts") },
    ],
  },
  build: {
    outDir: "../src/firstlight/faces/rest/static",
    emptyOutDir: true,
    target: "es2022",
    chunkSizeWarningLimit: 1500,
  },
  server: { proxy: { "/api": { target: service, ws: true } } },
  test: { include: ["src/**/*.test.{ts,tsx}"], environment: "node" },
});
