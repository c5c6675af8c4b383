import { describe, expect, test } from "vitest";
import { createApp } from "../../core/app.ts";
import { connect } from "../../core/db/database.ts";
import { HappyViewError, isHappyViewError } from "../../core/errors.ts";
import { definePlugin, orderPlugins, type Plugin } from "../../core/plugin.ts";
import type { PluginApp } from "../../core/plugin-app.ts";
import { startApp, testConfig } from "../setup/app.ts";
import { databases } from "../setup/databases.ts";
import { createRecordingLog, silent } from "../setup/log.ts";

const [sqlite] = databases();
if (!sqlite) throw new Error("SQLite is the first subject");

const named = (name: string, needs: string[] = [], wants: string[] = []): Plugin => ({
  name,
  needs,
  wants,
  migrations: [],
  commands: {},
  setup: () => undefined,
});

describe("the order of plugins", () => {
  const order = (...plugins: Plugin[]): string[] => orderPlugins(plugins).map((plugin) => plugin.name);

  test("is that of the config", () => {
    expect(order(named("c"), named("a"), named("b"))).toEqual(["c", "a", "b"]);
  });

  test("puts what is needed or wanted first", () => {
    expect(order(named("a", ["b"]), named("b", [], ["c"]), named("c"))).toEqual(["c", "b", "a"]);
    expect(order(named("a", [], ["missing"]), named("b"))).toEqual(["a", "b"]);
  });

  test("of two that want each other is that of the config", () => {
    expect(order(named("a", [], ["b"]), named("b", [], ["a"]))).toEqual(["b", "a"]);
  });

  test("a missing need is an error that prints the line to add", () => {
    expect(() => order(named("backfill", ["job-queue"]))).toThrow(
      expect.objectContaining({
        code: "PLUGIN_NEED_MISSING",
        message: 'the plugin "backfill" needs "job-queue", which is not in the config',
        hint: expect.stringMatching(
          /jobQueue\(\).*import \{ jobQueue \} from "happyview\/plugins\/job-queue"/,
        ),
      }),
    );
  });

  test("one listed twice is an error", () => {
    expect(() => order(named("a"), named("b"), named("a"))).toThrow(
      expect.objectContaining({ code: "PLUGIN_DUPLICATE", message: expect.stringContaining('"a"') }),
    );
  });
});

describe("the life of an app", () => {
  test("sets up in order, hands over APIs, announces ready, closes in reverse", async () => {
    const moments: string[] = [];
    const counter = definePlugin({
      name: "counter",
      setup(app, options: { start: number }) {
        moments.push("setup counter");
        app.hook("app:ready", () => void moments.push("ready counter"));
        app.onClose(() => void moments.push("close counter, first"));
        app.onClose(() => void moments.push("close counter, second"));
        let n = options.start;
        return { next: () => n++ };
      },
    });
    const absent = definePlugin({ name: "absent", setup: () => ({ x: 1 }) });
    const reader = definePlugin({
      name: "reader",
      needs: { counter },
      wants: { absent },
      async setup(app, _: {}, { counter, absent }) {
        moments.push(`setup reader ${counter.next()} ${absent === undefined}`);
        app.hook("app:ready", () => void moments.push("ready reader"));
        app.onClose(async () => void moments.push("close reader"));
        return { read: counter.next };
      },
    });
    const { app, stop } = await startApp(sqlite, { plugins: [reader(), counter({ start: 5 })] });
    expect(moments).toEqual(["setup counter", "setup reader 5 true", "ready counter", "ready reader"]);
    expect((app.api("reader") as { read(): number }).read()).toBe(6);
    await Promise.all([app.close(), app.close()]);
    await stop();
    expect(moments.slice(4)).toEqual(["close reader", "close counter, second", "close counter, first"]);
  });

  test("without background work nothing is started", async () => {
    let ready = false;
    const waiting = definePlugin({
      name: "waiting",
      setup: (app) => void app.hook("app:ready", () => void (ready = true)),
    });
    const { stop } = await startApp(sqlite, { plugins: [waiting()] }, { background: false });
    await stop();
    expect(ready).toBe(false);
  });

  test("a closer that throws is logged, and the others run", async () => {
    const { log, messages } = createRecordingLog();
    let closed = false;
    const careful = definePlugin({
      name: "careful",
      setup: (app) => app.onClose(() => void (closed = true)),
    });
    const careless = definePlugin({
      name: "careless",
      setup: (app) =>
        app.onClose(() => {
          throw new Error("no");
        }),
    });
    const { app, stop } = await startApp(sqlite, { plugins: [careful(), careless()] }, { log });
    await stop();
    expect(closed).toBe(true);
    expect(messages("error")).toEqual(["something did not close cleanly"]);
    await expect(app.db.get("SELECT 1 AS one")).rejects.toThrow();
  });

  test("migrations of plugins run before their setup, with their own tables", async () => {
    const sql = "CREATE TABLE notes_entries (id TEXT);";
    const notes = definePlugin({
      name: "notes",
      migrations: [{ id: "0001_entries", sqlite: sql, postgres: sql }],
      setup: async (app) => ({ entries: await app.db.all("SELECT * FROM notes_entries") }),
    });
    const { app, stop } = await startApp(sqlite, { plugins: [notes()] });
    expect(app.api("notes")).toEqual({ entries: [] });
    await stop();
  });
});

describe("a setup that fails", () => {
  const failing = async (
    setup: (app: PluginApp) => unknown,
  ): Promise<{ error: unknown; closed: boolean }> => {
    const { url, drop } = await sqlite.open();
    let closed = false;
    const early = definePlugin({ name: "early", setup: (app) => app.onClose(() => void (closed = true)) });
    const broken = definePlugin({ name: "broken", setup });
    const config = testConfig({ database: { url }, plugins: [early(), broken()] });
    const error: unknown = await createApp({ config, log: silent }).then(
      (app) => app.close(),
      (reason: unknown) => reason,
    );
    // A lock or an open file of the failed start would be in the way of the next.
    const db = await connect({ url });
    await db.run("CREATE TABLE next_start (x TEXT)");
    await db.close();
    await drop();
    return { error, closed };
  };

  test.each([
    [
      "at once",
      () => {
        throw new Error("no model found");
      },
    ],
    ["later", () => Promise.reject(new Error("no model found"))],
  ])("%s names the plugin, keeps the cause, and closes what was opened", async (_, setup) => {
    const { error, closed } = await failing(setup);
    expect(error).toMatchObject({
      code: "PLUGIN_SETUP_FAILED",
      message: expect.stringContaining('"broken"'),
      hint: expect.stringContaining("plugins"),
      cause: expect.objectContaining({ message: "no model found" }),
    });
    expect(closed).toBe(true);
  });

  test("with an error of its own words keeps them", async () => {
    const own = new HappyViewError("CONFIG_INVALID", { message: "[broken] key is missing", hint: "set KEY" });
    expect(
      (
        await failing(() => {
          throw own;
        })
      ).error,
    ).toBe(own);
  });

  test.each([
    ["two routes of one pattern", (app: PluginApp) => app.http.route("GET /health", () => "mine")],
    [
      "an admin route that core has",
      (app: PluginApp) => app.admin.route("GET /stats", { permission: "x:y" }, () => 1),
    ],
    ["a setting that core has", (app: PluginApp) => app.settings.define({ key: "app_name" })],
    [
      "one XRPC method twice",
      (app: PluginApp) => {
        app.xrpc.method("a.b.c", { type: "query", handle: () => 1 });
        app.xrpc.method("a.b.c", { type: "query", handle: () => 2 });
      },
    ],
  ])("%s is a duplicate", async (_, setup) => {
    const { error } = await failing(setup);
    expect(error).toMatchObject({ code: "CONTRIBUTION_DUPLICATE", hint: expect.any(String) });
  });
});

describe("contributions", () => {
  test.each([
    ["route", (app: PluginApp) => app.http.route("GET /late", () => 1)],
    ["admin route", (app: PluginApp) => app.admin.route("GET /late", { permission: "x:y" }, () => 1)],
    ["XRPC method", (app: PluginApp) => app.xrpc.method("a.b.late", { type: "query", handle: () => 1 })],
    ["XRPC resolver", (app: PluginApp) => app.xrpc.resolve(() => undefined)],
    ["health check", (app: PluginApp) => app.health.check("late", () => ({ ok: true }))],
  ])("a late %s is an error", async (what, contribute) => {
    let kept: PluginApp | undefined;
    const late = definePlugin({ name: "late", setup: (app) => void (kept = app) });
    const { stop } = await startApp(sqlite, { plugins: [late()] });
    let error: unknown;
    try {
      if (kept) contribute(kept);
    } catch (reason) {
      error = reason;
    }
    await stop();
    expect(isHappyViewError(error) && error.code).toBe("PLUGIN_LATE");
    expect(String(error)).toContain(what);
  });

  test("serve: route, admin route, XRPC method and resolver, health check, metric", async () => {
    const everything = definePlugin({
      name: "everything",
      setup(app) {
        app.http.route("GET /hello/:name", ({ params }) => ({ hello: params["name"] }));
        app.admin.route("GET /everything", { permission: "everything:read" }, () => ({ all: true }));
        app.xrpc.method("com.example.ping", {
          type: "query",
          handle: ({ params }) => ({ pong: params["n"] ?? null }),
        });
        app.xrpc.resolve((call) =>
          call.nsid === "com.example.scripted" ? Promise.resolve({ by: "script" }) : undefined,
        );
        app.health.check("everything", () => {
          throw new Error("tired");
        });
      },
    });
    const lexicon = { lexicon: 1, id: "com.example.scripted", defs: { main: { type: "query" } } };
    const files = {
      lexicons: [{ path: "com.example.scripted.json", name: "x", text: JSON.stringify(lexicon) }],
    };
    const { request, stop } = await startApp(sqlite, { plugins: [everything()] }, { files });
    const body = async (path: string): Promise<unknown> => (await request(path)).json();
    expect(await body("/hello/w%C3%B6rld")).toEqual({ hello: "wörld" });
    expect((await request("/admin/everything")).status).toBe(401);
    expect(await body("/xrpc/com.example.ping?n=5")).toEqual({ pong: "5" });
    expect(
      (
        await request("/xrpc/com.example.ping", {
          method: "POST",
          body: "{}",
          headers: { "content-type": "application/json" },
        })
      ).status,
    ).toBe(401);
    expect(await body("/xrpc/com.example.scripted")).toEqual({ by: "script" });
    const ready = await request("/health/ready");
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({
      ready: false,
      checks: { everything: { ok: false, detail: { error: "it does not answer; see the log" } } },
    });
    await stop();
  });

  test("a handler that throws shows the client nothing but its status, and the log the cause", async () => {
    const { log, lines } = createRecordingLog();
    const broken = definePlugin({
      name: "broken",
      setup(app) {
        app.http.route("GET /broken", () => {
          throw new Error("password=hunter2");
        });
      },
    });
    const { request, stop } = await startApp(sqlite, { plugins: [broken()] }, { log });
    const response = await request("/broken");
    expect(response.status).toBe(500);
    expect(await response.text()).toBe('{"error":"internal server error"}');
    expect(lines).toContainEqual(
      expect.objectContaining({ level: "error", error: "password=hunter2", path: "/broken" }),
    );
    await stop();
  });

  test("an event listener that throws harms no request", async () => {
    const noisy = definePlugin({
      name: "noisy",
      setup(app) {
        app.hook("event", () => Promise.reject(new Error("log is full")));
        app.http.route("GET /emit", () => {
          app.events.emit({ type: "x.y" });
          return { done: true };
        });
      },
    });
    const { request, stop } = await startApp(sqlite, { plugins: [noisy()] });
    expect((await request("/emit")).status).toBe(200);
    await stop();
  });
});

test.each(["short", "hv_short", "no-prefix-0123456789abcdef"])(
  "the admin key %j is refused at start",
  async (key) => {
    const config = testConfig({ database: { url: ":memory:" } }, { HAPPYVIEW_ADMIN_KEY: key });
    await expect(createApp({ config, log: silent })).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.not.stringContaining(key),
      hint: expect.stringContaining("hv_"),
    });
  },
);
