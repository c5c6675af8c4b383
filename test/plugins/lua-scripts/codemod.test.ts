import { describe, expect, onTestFinished, test } from "vitest";
import { definePlugin } from "../../../core/plugin.ts";
import { luaScripts } from "../../../plugins/lua-scripts/index.ts";
import { adminHeaders, limitedCaller, limitedHeaders, startApp, type TestApp } from "../../setup/app.ts";
import { jsonBody } from "../../suites/http/subject.ts";
import { sqlite } from "./host/_bench.ts";

const id = "record.index:org.example.note";
const body = "function handle() return record end";
const readerHeaders = { authorization: "Test reader" };

async function start(): Promise<TestApp> {
  const reader = definePlugin({
    name: "reader",
    setup(app) {
      app.callers.admin.push((request) =>
        request.headers.get("authorization") === readerHeaders.authorization
          ? { did: "did:plc:reader", clientKey: null, permissions: new Set(["scripts:read"]) }
          : undefined,
      );
    },
  });
  const app = await startApp(sqlite, { plugins: [limitedCaller(), reader(), luaScripts()] });
  onTestFinished(app.stop);
  await app.request("/admin/scripts", jsonBody("POST", { id, body }, adminHeaders));
  return app;
}

/** As an importer of another instance's database leaves it. */
const addRow = (app: TestApp, given: { id: string; type: string }): Promise<unknown> =>
  app.app.db.run(
    `INSERT INTO happyview_scripts (id, body, script_type, created_at, updated_at, origin)
     VALUES ('${given.id}', 'x', '${given.type}', '', '', 'admin')`,
  );

describe("scripts as the tools of version 3 see them", () => {
  test("rows say whether they can be made again, run, and need a migration", async () => {
    const app = await start();
    const path = `/admin/scripts/${encodeURIComponent(id)}`;
    const state = { recreatable: true, needs_migration: [], runnable: true };
    for (const request of [
      app.request("/admin/scripts", jsonBody("POST", { id, body }, adminHeaders)),
      app.request(path, jsonBody("PATCH", { description: "d" }, adminHeaders)),
      app.request(path, { headers: adminHeaders }),
    ])
      expect(await (await request).json()).toMatchObject({ id, ...state });
  });

  test.each([
    ["nobody", {}, {}, 401, { error: "missing Authorization header or session cookie" }],
    ["somebody else", limitedHeaders, {}, 403, { message: "Missing permission: scripts:read" }],
    [
      "a reader who applies",
      readerHeaders,
      { apply: true },
      403,
      { message: "Missing permission: scripts:manage" },
    ],
    ["a reader", readerHeaders, {}, 200, { source: body, notes: [], changed: false }],
    [
      "an admin who applies",
      adminHeaders,
      { apply: true, allow_markers: true },
      200,
      { source: body, changed: false },
    ],
    ["an unsaved text", readerHeaders, { source: "return 1" }, 200, { source: "return 1", changed: false }],
    [
      "both",
      adminHeaders,
      { apply: true, source: "return 1" },
      400,
      { error: expect.stringMatching(/^apply is for/) },
    ],
  ])("the codemod, asked by or with %s", async (_, headers, given, status, answer) => {
    const app = await start();
    const path = `/admin/scripts/${encodeURIComponent(id)}/codemod`;
    const response = await app.request(path, jsonBody("POST", given, headers));
    expect([response.status, await response.json()]).toEqual([status, expect.objectContaining(answer)]);
    const row = await app.request(`/admin/scripts/${encodeURIComponent(id)}`, { headers: adminHeaders });
    expect(await row.json()).toMatchObject({ body });
  });

  test("rows of another instance that cannot be made or run here", async () => {
    const { url, drop } = await sqlite.open();
    onTestFinished(drop);
    const shared = { ...sqlite, open: async () => ({ url, drop: async () => {} }) };
    const plugins = [luaScripts()];
    const first = await startApp(shared, { plugins });
    await addRow(first, { id: "record.index:1bad", type: "lua" });
    await addRow(first, { id: "record.index:org.example.js", type: "javascript" });
    await first.stop();
    const app = await startApp(shared, { plugins });
    onTestFinished(app.stop);
    const rows = await (await app.request("/admin/scripts", { headers: adminHeaders })).json();
    expect(rows).toMatchObject([
      { id: "record.index:1bad", recreatable: false, runnable: true },
      { id: "record.index:org.example.js", recreatable: true, runnable: false },
    ]);
    const codemod = (of: string): Promise<Response> =>
      app.request(`/admin/scripts/${of}/codemod`, jsonBody("POST", {}, adminHeaders));
    expect((await codemod("record.index:org.example.js")).status).toBe(400);
    expect((await codemod("record.index:none")).status).toBe(404);
  });
});
