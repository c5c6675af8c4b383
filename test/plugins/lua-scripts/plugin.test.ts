import { describe, expect, it, onTestFinished } from "vitest";
import { computeCid } from "../../../core/records/verify.ts";
import { definePlugin } from "../../../core/plugin.ts";
import type { LogEvent } from "../../../core/events.ts";
import { luaScripts } from "../../../plugins/lua-scripts/index.ts";
import { rev } from "../../core/records/_pipeline.ts";
import { adminHeaders, startApp, type TestApp } from "../../setup/app.ts";
import { databases, type DatabaseSubject } from "../../setup/databases.ts";
import { jsonBody, queryLexicon, recordLexicon } from "../../suites/http/subject.ts";

const collection = "org.example.note";
const did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

interface Bench extends TestApp {
  events: LogEvent[];
  script(id: string, body: string): Promise<Response>;
  write(action: "create" | "update" | "delete", n: number, record?: Record<string, unknown>): Promise<void>;
  stored(): Promise<Record<string, unknown>[]>;
  query(params?: string): Promise<{ status: number; body: unknown }>;
}

async function start(subject: DatabaseSubject): Promise<Bench> {
  const events: LogEvent[] = [];
  const listener = definePlugin({
    name: "listener",
    setup: (app) => void app.hook("event", (event) => void events.push(event)),
  });
  const test = await startApp(subject, { plugins: [listener(), luaScripts({ retryDelaysMs: [1, 1, 1] })] });
  onTestFinished(test.stop);
  const admin = (path: string, body: unknown): Promise<Response> =>
    test.request(path, jsonBody("POST", body, adminHeaders));
  await admin("/admin/lexicons", { lexicon_json: recordLexicon(collection) });
  await admin("/admin/lexicons", {
    lexicon_json: queryLexicon("org.example.notes"),
    target_collection: collection,
  });
  let n = 0;
  return {
    ...test,
    events,
    script: (id, body) => admin("/admin/scripts", { id, body }),
    async write(action, key, record = { text: `v${key}` }) {
      const base = { kind: "commit", action, did, collection, rkey: `k${key}`, rev: rev(++n) } as const;
      void test.app.records.pipeline.ingest(
        action === "delete" ? { ...base, cid: "" } : { ...base, record, cid: computeCid(record) ?? "" },
      );
      await test.app.records.pipeline.flush();
    },
    async stored() {
      const rows = await test.app.db.all<{ record: string }>(
        "SELECT record FROM happyview_records ORDER BY rkey",
      );
      return rows.map((row) => JSON.parse(row.record) as Record<string, unknown>);
    },
    async query(params = "") {
      const response = await test.request(`/xrpc/org.example.notes${params}`);
      return { status: response.status, body: await response.json() };
    },
  };
}

const handle = (body: string): string => `function handle()\n${body}\nend`;

describe.each(databases())("lua-scripts on $name", (subject) => {
  // The table of lua §1.3: what a return value does to a create or an update, and to a delete.
  it.each([
    ["nil", "return nil", [{ text: "old" }], [{ text: "old" }]],
    ["nothing", "local x = 1", [{ text: "old" }], [{ text: "old" }]],
    ["a table", "return { text = 'mine' }", [{ text: "mine" }], []],
    ["true", "return true", [{ text: "new" }], []],
    ["false", "return false", [{ text: "new" }], []],
    ["a string", "return 'x'", [{ text: "new" }], []],
    ["a number", "return 5", [{ text: "new" }], []],
    ["the record, which a delete has not", "return record", [{ text: "new" }], [{ text: "old" }]],
  ])("a record script that returns %s", async (_, body, updated, deleted) => {
    const bench = await start(subject);
    await bench.write("create", 1, { text: "old" });
    await bench.script(`record.index:${collection}`, handle(body));
    await bench.write("update", 1, { text: "new" });
    expect(await bench.stored()).toEqual(updated);

    await bench.request(`/admin/scripts/record.index%3A${collection}`, {
      method: "DELETE",
      headers: adminHeaders,
    });
    await bench.write("update", 1, { text: "old" });
    await bench.script(`record.delete:${collection}`, handle(body));
    await bench.write("delete", 1);
    expect(await bench.stored()).toEqual(deleted);
  });

  it("runs exactly one script: the action's own before the index script", async () => {
    const bench = await start(subject);
    await bench.script(`record.index:${collection}`, handle("return { by = 'index', action = action }"));
    await bench.script(`record.create:${collection}`, handle("return { by = 'create', action = action }"));
    await bench.write("create", 1);
    await bench.write("update", 2);
    expect(await bench.stored()).toEqual([
      { by: "create", action: "create" },
      { by: "index", action: "update" },
    ]);
  });

  it("retries a failing record script, then lets the record through and says so", async () => {
    const bench = await start(subject);
    await bench.script(`record.index:${collection}`, handle("error('no luck')"));
    await bench.write("create", 1);
    expect(await bench.stored()).toEqual([{ text: "v1" }]);
    expect(bench.events.filter((event) => event.type === "script.dead_lettered")).toMatchObject([
      {
        severity: "error",
        subject: `at://${did}/${collection}/k1`,
        detail: { attempts: 4, error: "runtime at line 2: no luck" },
      },
    ]);
  });

  it("does not run a script again for news that is old", async () => {
    const bench = await start(subject);
    await bench.script(`record.index:${collection}`, handle("log('ran') return record"));
    const record = { text: "x" };
    const event = {
      kind: "commit",
      action: "create",
      did,
      collection,
      rkey: "k1",
      rev: rev(1),
      record,
      cid: "",
    } as const;
    for (let i = 0; i < 3; i++) {
      void bench.app.records.pipeline.ingest(event);
      await bench.app.records.pipeline.flush();
    }
    expect(bench.events.filter((e) => e.type === "script.log")).toHaveLength(1);
  });

  it("answers a query by its script, with parameters as the lexicon types them", async () => {
    const bench = await start(subject);
    await bench.write("create", 1);
    await bench.script(
      "xrpc.query:org.example.notes",
      handle(
        "return { n = params.limit + 1, kind = math.type(params.limit), rows = #db.query({ collection = collection }).records }",
      ),
    );
    expect(await bench.query("?limit=4")).toEqual({ status: 200, body: { n: 5, kind: "integer", rows: 1 } });
  });

  it.each([
    ["a runtime error", "local x = nil\nreturn x.y", 500, { errorType: "runtime", line: 3 }],
    ["an AUTH_ERROR", "error('AUTH_ERROR:sign in again', 0)", 401, { error: "sign in again" }],
    ["a value that is no JSON", "return { f = print }", 500, { errorType: "runtime" }],
  ])("a query script with %s", async (_, body, status, answer) => {
    const bench = await start(subject);
    await bench.script("xrpc.query:org.example.notes", handle(body));
    const { status: got, body: error } = await bench.query();
    expect(got).toBe(status);
    expect(error).toMatchObject(answer);
    expect(bench.events.filter((event) => event.type === "script.error")).toHaveLength(1);
  });

  it.each([
    [
      "that does not parse",
      "xrpc.query:a.b",
      "function handle( return",
      /^script compilation failed: line 1: /,
    ],
    ["without handle", "xrpc.query:a.b", "local x = 1", /^script must define a handle\(\) function$/],
    [
      "of an unknown trigger",
      "record.upsert:a.b",
      handle(""),
      /^unknown trigger prefix 'record.upsert'; valid prefixes: /,
    ],
    ["without a separator", "nonsense", handle(""), /must contain a ':' separator/],
    ["without a suffix", "xrpc.query:", handle(""), /^trigger id 'xrpc.query:' has empty suffix$/],
    [
      "for one segment",
      "record.index:post",
      handle(""),
      /^invalid NSID 'post': need at least 2 dot-separated segments$/,
    ],
    ["for _actor of a record", "record.index:_actor", handle(""), /^invalid NSID '_actor'/],
    ["for a reserved job", "job.run:happyview.backfill", handle(""), /reserved/],
  ])("refuses a script %s, and stores nothing", async (_, id, body, message) => {
    const bench = await start(subject);
    const response = await bench.script(id, body);
    expect([response.status, ((await response.json()) as { error: string }).error]).toEqual([
      400,
      expect.stringMatching(message),
    ]);
    expect(await (await bench.request("/admin/scripts", { headers: adminHeaders })).json()).toEqual([]);
  });

  it("keeps what files deployed apart from what an admin made", async () => {
    const bench = await start(subject);
    const file = (text: string) => ({
      scripts: [
        { path: "xrpc.query/org.example.notes.lua", name: "scripts/xrpc.query/org.example.notes.lua", text },
      ],
    });
    await bench.app.resources.deploy(file(handle("return 'file'")));
    expect((await bench.query()).body).toBe("file");
    await bench.script("xrpc.query:org.example.other", handle("return 1"));

    const problems = await bench.app.resources.deploy(file("function handle()\n  return }\nend"));
    expect(problems[0]?.message).toMatch(
      /^scripts\/xrpc\.query\/org\.example\.notes\.lua:2: script compilation failed/,
    );
    expect((await bench.query()).body).toBe("file");

    await bench.app.resources.deploy({ scripts: [] });
    const rows = (await (await bench.request("/admin/scripts", { headers: adminHeaders })).json()) as {
      id: string;
    }[];
    expect(rows.map((row) => row.id)).toEqual(["xrpc.query:org.example.other"]);
  });

  it("names a script file that lies where no trigger is", async () => {
    const bench = await start(subject);
    const problems = await bench.app.resources.deploy({
      scripts: [{ path: "record.made/a.b.lua", name: "x", text: "" }],
    });
    expect(problems).toMatchObject([
      {
        message: expect.stringContaining("unknown trigger prefix 'record.made'"),
        hint: expect.stringContaining("record.create"),
      },
    ]);
  });
});
