import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { createApp, createLogger, isHappyViewError, type App, type Plugin } from "../../core/index.ts";
import { resolveConfig } from "../../core/config/resolve.ts";
import { definePlugin } from "../../core/plugin.ts";
import { guestbook } from "../fixture/guestbook/index.ts";
import { eventLog } from "../../plugins/event-log/index.ts";
import { firehose } from "../../plugins/firehose/index.ts";
import { luaScripts } from "../../plugins/lua-scripts/index.ts";
import { networkLexicons } from "../../plugins/network-lexicons/index.ts";
import { users } from "../../plugins/users/index.ts";

const adminKey = "hv_0123456789abcdef0123456789abcdef";

function open(plugins: Plugin[]): Promise<App> {
  const env = { DATABASE_URL: ":memory:", HAPPYVIEW_ADMIN_KEY: adminKey };
  const config = resolveConfig({ plugins }, { mode: "test", root: ".", env });
  return createApp({ config, log: createLogger({ level: "silent" }), background: false });
}

async function get(app: App, path: string): Promise<{ status: number; body: unknown }> {
  const response = await app.fetch(
    new Request(`http://localhost${path}`, {
      headers: path.startsWith("/admin")
        ? { authorization: `Bearer ${adminKey}`, host: "localhost" }
        : { host: "localhost" },
    }),
  );
  const text = await response.text();
  return {
    status: response.status,
    body: response.headers.get("content-type")?.includes("json") ? JSON.parse(text) : text,
  };
}

describe("a plugin from outside", () => {
  it("adds a table, a hook listener, an XRPC method and an admin route", async () => {
    await using app = await open([guestbook({ collection: "org.example.guestbook.entry" })]);
    const lexicon = { lexicon: 1, id: "org.example.guestbook.entry", defs: { main: { type: "record" } } };
    await app.resources.deploy({
      lexicons: [{ path: `${lexicon.id}.json`, name: "entry", text: JSON.stringify(lexicon) }],
    });
    void app.records.pipeline.ingest({
      kind: "commit",
      action: "create",
      did: "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
      collection: lexicon.id,
      rkey: "one",
      rev: "3kaaaaaaaaaa2",
      cid: "",
      record: { text: "three small words" },
    });
    await app.records.pipeline.flush();

    expect(await get(app, "/xrpc/org.example.guestbook.count")).toEqual({
      status: 200,
      body: { entries: 1 },
    });
    expect(await get(app, "/admin/guestbook")).toEqual({
      status: 200,
      body: [{ uri: "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/org.example.guestbook.entry/one", words: 3 }],
    });
  });

  it("adds a command to the CLI, with --help and --json", () => {
    const run = (...args: string[]): string => {
      const main = fileURLToPath(new URL("../../core/cli/main.ts", import.meta.url));
      const root = fileURLToPath(new URL("../fixture/guestbook-project", import.meta.url));
      const { stdout, stderr } = spawnSync(
        process.execPath,
        ["--conditions=happyview-source", main, ...args, "--root", root],
        { encoding: "utf8", env: { ...process.env, DATABASE_URL: ":memory:", LOG_LEVEL: "error" } },
      );
      return stdout + stderr;
    };
    expect(run("guestbook-count", "--json")).toBe('{"entries":0}\n');
    expect(run("guestbook-count")).toBe("0 entries\n");
    expect(run("guestbook-count", "--help")).toContain("Count the entries of the guestbook");
  });

  it("says what to add when a plugin that it needs is missing", async () => {
    const stamps = definePlugin({
      name: "stamps",
      needs: { guestbook },
      setup: (_app, _options: object, { guestbook: book }) => book.count,
    });
    const error: unknown = await open([stamps()]).catch((e: unknown) => e);
    expect(isHappyViewError(error) && error.code).toBe("PLUGIN_NEED_MISSING");
    expect(isHappyViewError(error) && error.hint).toContain("guestbook()");
  });
});

describe("each built-in plugin", () => {
  const builtIn = { eventLog, firehose, luaScripts, networkLexicons, users };
  for (const left of Object.keys(builtIn) as (keyof typeof builtIn)[])
    it(`can be taken out: without ${left} the rest boots and answers`, async () => {
      const others = Object.entries(builtIn).flatMap(([name, factory]) => (name === left ? [] : [factory()]));
      await using app = await open(others);
      expect(await get(app, "/health")).toEqual({ status: 200, body: "ok" });
      expect((await get(app, "/admin/lexicons")).status).toBe(200);
    });

  it("an instance without any plugin serves its lexicons and denies admin without the key", async () => {
    await using app = await open([]);
    const lexicon = { lexicon: 1, id: "org.example.list", defs: { main: { type: "query" } } };
    await app.resources.deploy({
      lexicons: [{ path: "org.example.list.json", name: "list", text: JSON.stringify(lexicon) }],
    });
    expect((await get(app, "/xrpc/org.example.list")).status).toBe(400);
    const denied = await app.fetch(
      new Request("http://localhost/admin/lexicons", { headers: { host: "localhost" } }),
    );
    expect(denied.status).toBe(401);
  });

  it("scripts in the folder without the plugin that runs them are named, with what to add", async () => {
    await using app = await open([]);
    const problems = await app.resources.deploy({
      scripts: [{ path: "record.index/a.b.c.lua", name: "x", text: "" }],
    });
    expect(problems[0]?.message).toContain("scripts/ holds 1 files, but no plugin in the config takes them");
  });
});
