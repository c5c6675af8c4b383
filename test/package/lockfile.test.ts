import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

const lock = JSON.parse(readFileSync(new URL("../../package-lock.json", import.meta.url), "utf8")) as {
  packages: Record<string, { gypfile?: boolean; resolved?: string }>;
};

it("keeps npm from compiling better-sqlite3, whose binaries are inside its package", () => {
  // npm 10 does not read `gypfile: false` from the package itself; npm drops it from the lock at each install. Add it
  // again to node_modules/better-sqlite3, or an install without a compiler fails.
  const copies = Object.entries(lock.packages).filter(([path]) =>
    path.endsWith("node_modules/better-sqlite3"),
  );
  expect(copies.map(([path, entry]) => [path, entry.gypfile])).toEqual([
    ["node_modules/better-sqlite3", false],
  ]);
});

it("names no registry host", () => {
  expect(Object.values(lock.packages).filter((entry) => entry.resolved?.startsWith("http"))).toEqual([]);
});
