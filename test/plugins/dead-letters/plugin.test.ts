import { describe, expect, it } from "vitest";
import { deadLetters, type DeadLettersApi } from "../../../plugins/dead-letters/index.ts";
import { luaScripts } from "../../../plugins/lua-scripts/index.ts";
import { limitedCaller, limitedHeaders, startApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { collection, did, start } from "./_bench.ts";

const uri = (rkey: string): string => `at://${did}/${collection}/${rkey}`;

describe.each(databases())("dead letters on $name", (subject) => {
  it("keeps what a record script failed on, and lets the record through", async () => {
    const bench = await start(subject);
    await bench.script("local x = nil\nreturn x.y");
    await bench.write("create", "k1");
    expect(await bench.stored("k1")).toEqual({ text: "k1" });
    const [letter] = await bench.letters();
    expect(letter).toEqual({
      id: expect.stringMatching(/^\d+$/),
      lexicon_id: `record.index:${collection}`,
      uri: uri("k1"),
      did,
      collection,
      rkey: "k1",
      action: "create",
      error: expect.stringMatching(/:3: attempt to index a nil value/),
      attempts: 4,
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
    expect((await bench.get(`/${letter?.id}`)).body).toEqual({ ...letter, record: { text: "k1" } });
    const row = await bench.app.db.get("SELECT * FROM dead_letter_scripts");
    expect(row).toMatchObject({
      script_ref: `record.index:${collection}`,
      host_kind: "record",
      host_id: `${collection}:create`,
      collection,
    });
    expect(JSON.parse(String(row?.["payload"]))).toEqual({
      trigger: `record.index:${collection}`,
      action: "create",
      uri: uri("k1"),
      did,
      collection,
      rkey: "k1",
      record: { text: "k1" },
    });
    expect(bench.events.filter((event) => event.type === "script.dead_lettered")).toMatchObject([
      { severity: "error", subject: uri("k1"), detail: { attempts: 4, host_kind: "record" } },
    ]);
  });

  it("lets a delete through whose script fails, with no record in its letter", async () => {
    const bench = await start(subject);
    await bench.write("create", "k1");
    await bench.script("error('no deletes')", `record.delete:${collection}`);
    await bench.write("delete", "k1");
    expect(await bench.stored("k1")).toBeUndefined();
    const [letter] = await bench.letters();
    expect((await bench.get(`/${letter?.id}`)).body).toMatchObject({ action: "delete", record: null });
  });

  it("lists, filters, counts and pages", async () => {
    const bench = await start(subject);
    await bench.script("error('no')");
    for (const key of ["a", "b", "c", "d", "e"]) await bench.write("create", key);
    const all = await bench.letters();
    expect(all.map((letter) => letter["rkey"])).toEqual(["e", "d", "c", "b", "a"]);

    const seen: string[] = [];
    for (let cursor = ""; ;) {
      const { body } = await bench.get(`?limit=2${cursor}`);
      const page = body as { dead_letters: { id: string }[]; cursor?: string };
      seen.push(...page.dead_letters.map((letter) => letter.id));
      if (!page.cursor) break;
      cursor = `&cursor=${page.cursor}`; // its plus sign arrives as a space
    }
    expect(seen).toEqual(all.map((letter) => letter.id));

    await bench.post(`/${all[0]?.id}/dismiss`);
    expect((await bench.get("/count")).body).toEqual({ count: 4 });
    expect((await bench.get("/count?resolved=true")).body).toEqual({ count: 1 });
    expect((await bench.get("/count?resolved=all")).body).toEqual({ count: 5 });
    expect(await bench.letters("?resolved=true")).toMatchObject([
      { rkey: "e", resolved_at: expect.any(String) },
    ]);
    expect(await bench.letters(`?collection=${collection}`)).toHaveLength(4);
    expect(await bench.letters("?collection=org.example.other")).toEqual([]);
    expect(await bench.letters("?limit=0")).toHaveLength(1);
  });

  it("retries once with the script of now, stores nothing, and resolves", async () => {
    const bench = await start(subject);
    await bench.script("error('fix me')");
    await bench.write("create", "k1");
    const id = (await bench.letters())[0]?.id;

    const failed = await bench.post(`/${id}/retry`);
    expect(failed).toEqual({
      status: 500,
      body: { error: expect.stringMatching(new RegExp(`^retry failed for dead letter ${id}: .*fix me$`)) },
    });
    expect((await bench.letters())[0]).toMatchObject({ attempts: 5 });

    await bench.script("log('seen ' .. rkey) return { fixed = true }", `record.create:${collection}`);
    expect(await bench.post(`/${id}/retry`)).toEqual({ status: 200, body: { ok: true } });
    expect(await bench.stored("k1")).toEqual({ text: "k1" });
    expect(await bench.letters()).toEqual([]);
    expect(bench.events.find((event) => event.type === "script.log")?.detail).toMatchObject({
      message: "seen k1",
    });
    expect((await bench.post(`/${id}/retry`)).status).toBe(404);
  });

  it("answers 404 when no script is bound any more", async () => {
    const bench = await start(subject);
    await bench.script("error('no')");
    await bench.write("create", "k1");
    const { scripts } = bench.app.api("lua-scripts") as { scripts: { remove(id: string): Promise<boolean> } };
    await scripts.remove(`record.index:${collection}`);
    const letter = (await bench.letters())[0];
    expect(await bench.post(`/${letter?.id}/retry`)).toEqual({
      status: 404,
      body: { error: `no script bound for record.create:${collection} (or record.index:${collection})` },
    });
    expect((await bench.letters())[0]).toMatchObject({ attempts: 4, error: letter?.["error"] });
  });

  it("reindexes from the author's PDS through the script", async () => {
    const bench = await start(subject);
    await bench.script("error('no')");
    await bench.write("create", "k1", { n: "live" });
    await bench.script("return { re = record.n }");
    const id = (await bench.letters())[0]?.id;

    expect(await bench.post(`/${id}/reindex`)).toMatchObject({
      status: 500,
      body: { error: expect.stringMatching(/^reindex failed for dead letter \d+: .* answers 400/) },
    });
    expect(await bench.letters()).toHaveLength(1);

    bench.pds.set("k1", { n: "from the PDS" });
    expect(await bench.post(`/${id}/reindex`)).toEqual({ status: 200, body: { ok: true } });
    expect(await bench.stored("k1")).toEqual({ re: "from the PDS" });
    expect(await bench.letters()).toEqual([]);
  });

  it("acts on many at once", async () => {
    const bench = await start(subject);
    await bench.script("error('no')");
    for (const key of ["a", "b", "c", "d", "e", "f"]) await bench.write("create", key);
    const ids = (await bench.letters()).map((letter) => letter.id);
    for (const act of ["dismiss", "retry", "reindex"])
      expect(await bench.post(`/bulk/${act}`, {})).toEqual({
        status: 400,
        body: { error: "must provide 'ids' or 'all: true'" },
      });
    expect(await bench.post("/bulk/dismiss", { ids: [...ids.slice(0, 2), "99999", "x"] })).toEqual({
      status: 200,
      body: { ok: true },
    });
    expect(await bench.letters()).toHaveLength(4);
    // One that fails again stays, the others are done.
    await bench.script("if rkey == 'a' then error('still') end return record");
    expect(await bench.post("/bulk/retry", { all: true, collection: "org.example.other" })).toMatchObject({
      status: 200,
    });
    expect(await bench.letters()).toHaveLength(4);
    expect(await bench.post("/bulk/retry", { all: true, collection })).toEqual({
      status: 200,
      body: { ok: true },
    });
    expect(await bench.letters()).toMatchObject([{ rkey: "a", attempts: 5 }]);
    bench.pds.set("a", { text: "again" });
    await bench.script("return record");
    expect((await bench.post("/bulk/reindex", { all: true })).status).toBe(200);
    expect(await bench.stored("a")).toEqual({ text: "again" });
    expect(await bench.letters()).toEqual([]);
  });

  it("shows labels in the fields of records, and refuses to run them again", async () => {
    const bench = await start(subject);
    const letters = bench.app.api("dead-letters") as DeadLettersApi;
    const payload = {
      src: "did:plc:labeler",
      uri: did,
      val: "spam",
      neg: false,
      cts: "2026-01-01T00:00:00Z",
    };
    await letters.add({
      scriptRef: "labeler.apply:_actor",
      hostKind: "label",
      hostId: payload.src,
      payload,
      error: "no",
      attempts: 4,
      collection: null,
    });
    const [letter] = await bench.letters();
    expect((await bench.get(`/${letter?.id}`)).body).toMatchObject({
      lexicon_id: "labeler.apply:_actor",
      collection: "_actor",
      did: "did:plc:labeler",
      rkey: "spam",
      action: "label",
      uri: did,
      record: payload,
    });
    for (const act of ["retry", "reindex"]) {
      const answer = await bench.post(`/${letter?.id}/${act}`);
      expect(answer.status).toBe(400);
      expect(answer.body).toMatchObject({
        error: expect.stringMatching(/^label-arrival dead letters can't be re(tri|index)ed/),
      });
    }
    expect(await bench.letters()).toMatchObject([{ attempts: 4 }]);
  });

  it("shows and handles the letters that HappyView 2.8 left", async () => {
    const bench = await start(subject);
    const id = "3f0c4a52-8c1e-4b57-9d52-0b8a3c0e9a11";
    await bench.app.db.run(
      `INSERT INTO dead_letter_hooks (id, lexicon_id, uri, did, collection, rkey, action, record, error, attempts, created_at)
       VALUES (?, ?, ?, ?, ?, 'old', 'create', '{"text":"old"}', 'boom', 4, '2025-01-01T00:00:00+00:00')`,
      [id, collection, uri("old"), did, collection],
    );
    await bench.script("error('no')");
    await bench.write("create", "k1");
    expect((await bench.letters()).map((letter) => letter["rkey"])).toEqual(["k1", "old"]);
    expect((await bench.get("/count")).body).toEqual({ count: 2 });
    expect((await bench.get(`/${id}`)).body).toMatchObject({
      id,
      lexicon_id: collection,
      record: { text: "old" },
    });
    expect((await bench.post(`/${id}/retry`)).status).toBe(500);
    expect((await bench.get(`/${id}`)).body).toMatchObject({ attempts: 5 });
    expect((await bench.post(`/${id}/dismiss`)).body).toEqual({ ok: true });
    expect(await bench.letters()).toHaveLength(1);
  });

  it("tells who asks for what is not there, or may not ask", async () => {
    const bench = await start(subject);
    const missing = "00000000-0000-4000-8000-000000000000";
    for (const id of [missing, "12345", "99999999999999999999"]) {
      expect((await bench.get(`/${id}`)).status).toBe(404);
      for (const act of ["dismiss", "retry", "reindex"])
        expect((await bench.post(`/${id}/${act}`)).status).toBe(404);
    }
    const routes = ["GET ", "GET /count", "GET /1", "POST /1/dismiss", "POST /1/retry", "POST /1/reindex"];
    for (const route of routes) {
      const [method = "", path = ""] = route.split(" ");
      const ask = (headers: Record<string, string>): Promise<Response> =>
        bench.request(`/admin/dead-letters${path}`, { method, headers });
      expect([route, (await ask({})).status]).toEqual([route, 401]);
      const refused = await ask(limitedHeaders);
      expect(await refused.json()).toMatchObject({
        message: `Missing permission: dead-letters:${method === "GET" ? "read" : "manage"}`,
      });
    }
  });

  it("forgets resolved letters after their time, and no open ones", async () => {
    const start = Date.parse("2026-01-01T00:00:00Z");
    let now = start;
    await using test = await startApp(
      { ...subject, open: reopen(await subject.open()) },
      { plugins: [deadLetters(), limitedCaller()] },
      { now: () => now },
    );
    const letters = test.app.api("dead-letters") as DeadLettersApi;
    const letter = {
      scriptRef: "x",
      hostKind: "record",
      hostId: "x",
      payload: {},
      error: "x",
      attempts: 1,
      collection,
    };
    await letters.add(letter);
    await letters.add(letter);
    await test.app.db.run("UPDATE happyview_dead_letter_scripts SET resolved_at = created_at WHERE id = 1");
    now = start + 31 * 24 * 60 * 60 * 1000;
    await test.app.close();
    await using again = await startApp(
      { ...subject, open: reopen({ url: urlOf(test), drop: async () => {} }) },
      { plugins: [deadLetters()] },
      { now: () => now },
    );
    await expect
      .poll(async () => (await again.app.db.all("SELECT id FROM happyview_dead_letter_scripts")).length)
      .toBe(1);
  });

  it("needs no scripts, and scripts do not need it", async () => {
    await using alone = await startApp(subject, { plugins: [deadLetters()] });
    expect((await alone.request("/admin/dead-letters")).status).toBe(401);
    await using without = await startApp(subject, { plugins: [luaScripts()] });
    expect(without.app.api("dead-letters")).toBeUndefined();
  });
});

function reopen(database: { url: string; drop(): Promise<void> }): () => Promise<typeof database> {
  return async () => database;
}

function urlOf(test: { app: { config: { database: { url?: string } } } }): string {
  return test.app.config.database.url ?? "";
}
