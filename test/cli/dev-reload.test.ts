import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startDev, type Dev } from "../../core/cli/dev.ts";
import { definePlugin } from "../../core/index.ts";
import { createRecordingLog } from "../setup/log.ts";

const { log, messages } = createRecordingLog();
const gate = Promise.withResolvers<void>();
const entered = Promise.withResolvers<void>();
const slow = definePlugin({
  name: "slow",
  setup(app) {
    app.http.route("GET /slow", async () => {
      entered.resolve();
      await gate.promise;
      return app.db.get("SELECT 1 AS one");
    });
  },
});
// The config of the project is a module of its own, outside of this repository.
Object.assign(globalThis, { devTestPlugin: slow });
let root: string;
let dev: Dev;

const settle = { timeout: 10_000, interval: 20 };
const write = (name: string, text: string): Promise<void> => writeFile(join(root, name), text);
const config = (name: string, more = ""): string =>
  `export default { settings: { app_name: "${name}" }, plugins: [globalThis.devTestPlugin()], ${more} };`;
const appName = async (): Promise<unknown> =>
  ((await (await fetch(`${dev.url}/config`)).json()) as Record<string, unknown>)["app_name"];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "happyview-dev-"));
  await write("happyview.config.mjs", config("one", `server: { port: 0 }`));
  dev = await startDev({
    root,
    log,
    env: { HOST: "127.0.0.1", DATABASE_URL: "file:test.db", JETSTREAM_URL: "ws://127.0.0.1:1" },
  });
});

afterAll(async () => {
  await dev?.close();
  await rm(root, { recursive: true, force: true });
});

test("a request that the replaced instance has begun is answered by it, on an open database", async () => {
  const answer = fetch(`${dev.url}/slow`);
  await entered.promise;
  await write("happyview.config.mjs", config("two", `server: { port: 0 }`));
  await expect.poll(appName, settle).toBe("two");
  expect(messages("info")).toContain("the config changed; a new instance answers");
  gate.resolve();
  const response = await answer;
  expect([response.status, await response.json()]).toEqual([200, { one: 1 }]);
});

test("a changed port is said to need a restart", async () => {
  await write("happyview.config.mjs", config("three", `server: { port: 1 }`));
  await expect.poll(appName, settle).toBe("three");
  await expect
    .poll(() => messages("warn"), settle)
    .toContain("the host or port changed; that needs a restart");
});

test("a layer that the changed config extends is followed too, even while it is broken", async () => {
  await mkdir(join(root, "base"));
  await write("base/happyview.config.mjs", `export default { settings: { logo_uri: 5 } };`);
  await write("happyview.config.mjs", config("four", `extends: "./base"`));
  await expect.poll(() => messages("error"), settle).toContainEqual(expect.stringContaining("is refused"));
  expect(await appName()).toBe("three");
  await write("base/happyview.config.mjs", `export default { server: { basePath: "/moved" } };`);
  await expect.poll(async () => (await fetch(`${dev.url}/moved/config`)).status, settle).toBe(200);
});
