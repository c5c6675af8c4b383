import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadConfig } from "../../core/config/load.ts";
import { isLocal, resolveConfig, type Mode } from "../../core/config/resolve.ts";
import { checkConfig } from "../../core/config/schema.ts";
import type { UserConfig } from "../../core/config/define.ts";

const file = "happyview.config.ts";

describe("what a config may say", () => {
  test.each([
    [
      "a misspelt key",
      { databse: { url: ":memory:" } },
      "`databse` is not a key",
      "did you mean `database`?",
    ],
    ["a misspelt inner key", { server: { prot: 1 } }, "`server.prot` is not a key", "did you mean `port`?"],
    ["a key of no likeness", { zzzzzzzz: 1 }, "`zzzzzzzz` is not a key", "allowed here: database, plugins"],
    [
      "an unknown option of a lexicon",
      { lexicons: { "a.b.c": { target: "x" } } },
      "`lexicons.a.b.c.target`",
      "targetCollection",
    ],
    ["a wrong type", { server: { port: "80" } }, "`server.port`", "correct `server.port`"],
    ["a port out of range", { server: { port: 70_000 } }, "`server.port`", "correct `server.port`"],
    ["a URL that is none", { network: { plcUrl: "plc" } }, "`network.plcUrl`", "correct `network.plcUrl`"],
    [
      "an action that is none",
      { lexicons: { "a.b.c": { action: "put" } } },
      "`lexicons.a.b.c.action`",
      "correct",
    ],
    ["a setting that is no text", { settings: { app_name: 5 } }, "`settings.app_name`", "correct"],
    [
      "a plugin without its parentheses",
      { plugins: [() => {}] },
      "with the parentheses",
      "correct `plugins.0`",
    ],
    ["a plugin that is missing", { plugins: [undefined] }, "`plugins.0`", "correct `plugins.0`"],
    ["no object", "nonsense", "expected object", "correct"],
  ])("%s is refused with key, file and fix", (_, config, message, hint) => {
    expect(() => checkConfig(config, file)).toThrow(
      expect.objectContaining({
        code: "CONFIG_INVALID",
        message: expect.stringMatching(new RegExp(`^${file}: `)),
        hint: expect.stringContaining(hint),
      }),
    );
    expect(() => checkConfig(config, file)).toThrow(message);
  });

  test("every problem is told at once", () => {
    expect(() => checkConfig({ server: { port: "x", basePath: 1 } }, file)).toThrow(
      /server\.port.*server\.basePath/,
    );
  });

  test("nothing at all is a config", () => {
    expect(checkConfig({}, file)).toEqual({});
  });
});

describe("the config in force", () => {
  const resolved = (user: UserConfig, env: Record<string, string> = {}): ReturnType<typeof resolveConfig> =>
    resolveConfig(user, { mode: "production", root: "/project", env });

  test("has a value for everything", () => {
    expect(resolved({})).toMatchObject({
      database: { url: "file:.data/happyview.db", maxConnections: 32 },
      server: { publicUrl: undefined, host: "0.0.0.0", port: 3000, basePath: "" },
      network: {
        jetstreamUrl: expect.stringMatching(/^wss:/),
        relayUrl: "https://bsky.network",
        plcUrl: "https://plc.directory",
      },
      plugins: [],
      adminKey: undefined,
      rateLimit: { capacity: 100, refillRate: 2 },
    });
  });

  test("the environment wins over the file, an empty variable does not", () => {
    const user: UserConfig = {
      database: { url: ":memory:", maxConnections: 4 },
      server: { publicUrl: "https://a.example", host: "127.0.0.1", port: 1, basePath: "/a" },
      network: { plcUrl: "https://plc.a", relayUrl: "https://relay.a", jetstreamUrl: "wss://js.a" },
    };
    expect(
      resolved(user, {
        DATABASE_URL: "postgres://h/d",
        DATABASE_MAX_CONNECTIONS: "9",
        PUBLIC_URL: "https://b.example",
        HOST: "::",
        PORT: "8080",
        BASE_PATH: "/b/",
        JETSTREAM_URL: "wss://js.b",
        RELAY_URL: "https://relay.b",
        PLC_URL: "https://plc.b",
        HAPPYVIEW_ADMIN_KEY: "hv_x",
        DEFAULT_RATE_LIMIT_CAPACITY: "7",
        DEFAULT_RATE_LIMIT_REFILL_RATE: "0.5",
      }),
    ).toMatchObject({
      database: { url: "postgres://h/d", maxConnections: 9 },
      server: { publicUrl: "https://b.example", host: "::", port: 8080, basePath: "/b" },
      network: { plcUrl: "https://plc.b", relayUrl: "https://relay.b", jetstreamUrl: "wss://js.b" },
      adminKey: "hv_x",
      rateLimit: { capacity: 7, refillRate: 0.5 },
    });
    expect(resolved(user, { DATABASE_URL: "", PORT: "" })).toMatchObject({
      database: { url: ":memory:" },
      server: { port: 1 },
    });
  });

  test.each([
    [{ PORT: "abc" }, 'PORT is "abc", which is not a number from 0 to 65535'],
    [{ PORT: "99999" }, 'PORT is "99999", which is not a number from 0 to 65535'],
    [{ PORT: "-1" }, "PORT is"],
    [{ PORT: "0x50" }, "PORT is"],
    [{ DATABASE_MAX_CONNECTIONS: "0" }, 'DATABASE_MAX_CONNECTIONS is "0", which is not a number from 1 to'],
    [{ DATABASE_MAX_CONNECTIONS: "1.5" }, "DATABASE_MAX_CONNECTIONS is"],
    [{ DEFAULT_RATE_LIMIT_CAPACITY: "many" }, 'DEFAULT_RATE_LIMIT_CAPACITY is "many"'],
    [{ DEFAULT_RATE_LIMIT_REFILL_RATE: "Infinity" }, 'DEFAULT_RATE_LIMIT_REFILL_RATE is "Infinity"'],
    [{ PUBLIC_URL: "appview" }, "PUBLIC_URL"],
    [{ BASE_PATH: "appview" }, "BASE_PATH must start with '/' (got: appview)"],
  ])("%j is refused", (env, message) => {
    expect(() => resolved({}, env)).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID", hint: expect.any(String) }),
    );
    expect(() => resolved({}, env)).toThrow(message);
  });

  test.each<[Mode, string | undefined, boolean]>([
    ["development", undefined, true],
    ["test", undefined, true],
    ["production", undefined, false],
    ["production", "https://appview.example", false],
    ["development", "https://appview.example", false],
    ["production", "http://localhost:3000", true],
    ["production", "http://127.0.0.1", true],
    ["production", "http://[::1]:80", true],
    ["production", "http://localhost.example", false],
  ])("in %s on %s it is a developer's: %s", (mode, publicUrl, local) => {
    const config = resolveConfig({ server: { publicUrl } }, { mode, root: "/project", env: {} });
    expect(isLocal(config)).toBe(local);
  });
});

describe("a config file", () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "happyview-test-"));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  const write = async (name: string, text: string): Promise<void> => {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text);
  };
  const load = (mode: Mode = "production"): ReturnType<typeof loadConfig> =>
    loadConfig({ root, mode, env: {} });

  test("that is missing is an error that says how to make one", async () => {
    await expect(load()).rejects.toMatchObject({
      code: "CONFIG_NOT_FOUND",
      message: expect.stringContaining(root),
      hint: expect.stringContaining("npm create happyview"),
    });
  });

  test("is TypeScript or JavaScript", async () => {
    await write("happyview.config.ts", `const port: number = 4000; export default { server: { port } };`);
    expect((await load()).config.server.port).toBe(4000);
    await rm(join(root, "happyview.config.ts"));
    await write("happyview.config.mjs", `export default { server: { port: 4001 } };`);
    expect((await load()).config.server.port).toBe(4001);
  });

  test("has a .env beside it, over which the command line wins", async () => {
    const variables = ["HAPPYVIEW_TEST_OWN", "PLC_URL", "PORT"];
    await write("happyview.config.ts", `export default {};`);
    await write(".env", `HAPPYVIEW_TEST_OWN=mine\nPLC_URL=https://plc.env.example\nPORT=1\n`);
    try {
      const { config } = await loadConfig({ root, mode: "development", overrides: { PORT: "2" } });
      expect(config).toMatchObject({
        server: { port: 2 },
        network: { plcUrl: "https://plc.env.example" },
        env: { HAPPYVIEW_TEST_OWN: "mine" },
      });
    } finally {
      for (const name of variables) delete process.env[name];
    }
  });

  test("that changed is read anew", async () => {
    for (const port of [1, 2, 3]) {
      await write("happyview.config.ts", `export default { server: { port: ${port} } };`);
      expect((await load()).config.server.port).toBe(port);
    }
  });

  test("is named in errors, with the key and the fix", async () => {
    await write("happyview.config.ts", `export default { server: { prot: 4000 } };`);
    await expect(load()).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: "happyview.config.ts: `server.prot` is not a key of the config",
      hint: "did you mean `port`?",
    });
  });

  test.each([
    ["does not parse", "export default {{{", /.+/],
    ["throws", `throw new Error("no secret given"); export default {};`, /no secret given/],
    ["imports what is not there", `import "./missing.ts"; export default {};`, /missing/],
  ])("that %s keeps the cause", async (_, text, cause) => {
    await write("happyview.config.ts", text);
    await expect(load()).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      hint: expect.stringContaining("defineConfig"),
      cause: expect.objectContaining({ message: expect.stringMatching(cause) }),
    });
  });

  test("has layers: the mode's own values, then the file's, then what it extends", async () => {
    await write(
      "base/happyview.config.ts",
      `export default {
        server: { port: 1, host: "base" }, settings: { a: "base", b: "base" },
        $development: { settings: { c: "base in development" } },
      };`,
    );
    await write(
      "happyview.config.ts",
      `export default {
        extends: "./base", server: { port: 2 }, settings: { a: "own" },
        $development: { server: { port: 3 } }, $production: { settings: { d: "production" } },
      };`,
    );
    expect((await load("development")).config).toMatchObject({
      server: { port: 3, host: "base" },
      settings: { a: "own", b: "base", c: "base in development" },
    });
    const production = await load("production");
    expect(production.config.server).toMatchObject({ port: 2, host: "base" });
    expect(production.config.settings).toEqual({ a: "own", b: "base", d: "production" });
    expect(production.files.toSorted()).toEqual([
      join(root, "base/happyview.config.ts"),
      join(root, "happyview.config.ts"),
    ]);
  });

  test("a layer that is missing is an error", async () => {
    await write("happyview.config.ts", `export default { extends: "./nowhere", server: { port: 2 } };`);
    await expect(load()).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining("./nowhere"),
      hint: expect.stringContaining("extension"),
    });
  });
});
