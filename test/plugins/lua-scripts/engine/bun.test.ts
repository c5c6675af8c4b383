import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const bun = join(dirname(createRequire(import.meta.url).resolve("bun/package.json")), "..", ".bin", "bun");
const script = fileURLToPath(new URL("./_bun-smoke.ts", import.meta.url));

test("in Bun scripts run, read the database, ask the host and are stopped", { timeout: 60_000 }, async () => {
  const { stdout } = await promisify(execFile)(bun, [script], { timeout: 30_000, killSignal: "SIGKILL" });
  expect(JSON.parse(stdout)).toEqual({
    values: '["x",9007199254740993,5.0]',
    page: '{"records":[]}',
    attacks: ["timeout", "memory", "timeout"],
    host: "201",
    after: "1",
  });
});
