import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const condition = "happyview-source";
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    conditions: [condition],
    // A package cannot resolve itself through Vite; fixtures import what a user would.
    alias: [
      { find: /^happyview\/plugins\/([a-z-]+)$/, replacement: here("plugins/$1/index.ts") },
      { find: /^happyview$/, replacement: here("core/index.ts") },
    ],
  },
  ssr: { resolve: { conditions: [condition] } },
  test: {
    environment: "node",
    include: ["test/**/*.test.ts"],
    exclude: ["**/node_modules/**", "test/fixture/**", "test/server/**"],
    globalSetup: "test/setup/postgres.ts",
    pool: "forks",
    maxWorkers: 2,
    // What tests load or spawn without Vite finds our sources, too.
    execArgv: [`--conditions=${condition}`],
    env: { LOG_LEVEL: "silent" },
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
  },
});
