import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** The service that `npm run dev` talks to: the mock of dev/mock.py or a real `firstlight serve`. */
const service = process.env["FIRSTLIGHT_SERVICE"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../src/firstlight/faces/rest/static",
    emptyOutDir: true,
    target: "es2022",
    chunkSizeWarningLimit: 1500,
  },
  server: { proxy: { "/api": { target: service, ws: true } } },
  test: { include: ["src/**/*.test.{ts,tsx}"], environment: "node" },
});
