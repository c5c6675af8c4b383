import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { LexiconChange } from "../../../core/lexicons/registry.ts";
import { definePlugin } from "../../../core/plugin.ts";
import { databases } from "../../setup/databases.ts";
import {
  createAtmosphere,
  limitedHeaders,
  queryLexicon,
  recordLexicon,
  schema,
  startInstance,
  status,
  type Atmosphere,
  type Instance,
} from "./_atmosphere.ts";

const path = "/network-lexicons";

describe.each(databases())("the admin routes of network lexicons on $name", (subject) => {
  let around: Atmosphere;
  let instance: Instance;
  let changes: LexiconChange[];

  beforeEach(async () => {
    around = await createAtmosphere();
    changes = [];
    const watcher = definePlugin({
      name: "watcher",
      setup(app) {
        app.hook("lexicon:changed", (change) => {
          if (change.history) change.history.jobId = "job-1"; // as the backfill does
          changes.push(change);
        });
      },
    });
    instance = await startInstance(subject, around, { config: { plugins: [watcher()] } });
  });
  afterEach(async () => {
    await instance.stop();
    await around[Symbol.asyncDispose]();
  });

  const post = (body: object, headers?: Record<string, string>): Promise<Response> =>
    instance.admin("POST", path, body, headers);

  test("the list is empty, then has what was added", async () => {
    expect(await instance.get(path)).toEqual([]);
    await around.publish(recordLexicon());
    const response = await post({ nsid: status, target_collection: "a.b.c" });
    expect(response.status).toBe(201);
    expect(await response.json()).toEqual({ nsid: status, authority_did: around.alice.did, revision: 1 });
    expect(await instance.get(path)).toEqual([
      {
        nsid: status,
        authority_did: around.alice.did,
        target_collection: "a.b.c",
        last_fetched_at: expect.stringMatching(/^\d{4}-/),
        created_at: expect.stringMatching(/^\d{4}-/),
      },
    ]);
    expect(await instance.get(`/lexicons/${status}`)).toMatchObject({
      revision: 1,
      source: "network",
      backfill: false,
      lexicon_type: "record",
      authority_did: around.alice.did,
      lexicon_json: { $type: schema, ...recordLexicon() },
    });
    expect(instance.lexicons.isTracked(status)).toBe(true);
    expect(instance.told()).toEqual([`lexicon.created ${status} {"revision":1,"source":"network"}`]);
  });

  test("resolve shows a lexicon and stores nothing", async () => {
    await around.publish(recordLexicon());
    expect(await instance.get(`${path}/resolve/${status}`)).toEqual({
      nsid: status,
      authority_did: around.alice.did,
      type: "record",
      lexicon_json: { $type: schema, ...recordLexicon() },
    });
    await around.publish({ lexicon: 1, id: "xyz.statusphere.defs", defs: {} });
    expect(await instance.get(`${path}/resolve/xyz.statusphere.defs`)).toMatchObject({ type: null });
    expect(await instance.get(path)).toEqual([]);
    expect(instance.told()).toEqual([]);
  });

  test("added again it is the next revision, and 201 still", async () => {
    await around.publish(recordLexicon());
    await post({ nsid: status, target_collection: "a.b.c" });
    const again = await post({ nsid: status });
    expect(again.status).toBe(201);
    expect(await again.json()).toMatchObject({ revision: 2 });
    expect(await instance.get(path)).toMatchObject([{ nsid: status, target_collection: null }]);
  });

  test("one that was uploaded becomes a network lexicon; its action and cost stay, in force too", async () => {
    const id = "xyz.statusphere.set";
    const procedure = { lexicon: 1, id, defs: { main: { type: "procedure" } } };
    await instance.admin("POST", "/lexicons", { lexicon_json: procedure, action: "create", token_cost: 3 });
    await around.publish(procedure);
    await post({ nsid: id });
    expect(await instance.get(`/lexicons/${id}`)).toMatchObject({
      source: "network",
      action: "create",
      token_cost: 3,
      revision: 2,
    });
    expect(instance.lexicons.get(id)).toMatchObject({ action: "create", tokenCost: 3 });
  });

  test("a network query is served here", async () => {
    const id = "xyz.statusphere.list";
    await around.publish(queryLexicon(id));
    await post({ nsid: id, target_collection: status });
    const response = await instance.running.request(`/xrpc/${id}`);
    expect(await response.json()).toEqual({ records: [] });
  });

  test("deleted it is gone as a lexicon, too; deleted again it is 404", async () => {
    await around.publish(recordLexicon());
    await post({ nsid: status });
    expect((await instance.admin("DELETE", `${path}/${status}`)).status).toBe(204);
    expect(await instance.get(`/lexicons/${status}`)).toBe(404);
    expect(await instance.get(path)).toEqual([]);
    expect(instance.told().at(-1)).toBe(`lexicon.deleted ${status} {"source":"network"}`);
    const again = await instance.admin("DELETE", `${path}/${status}`);
    expect(again.status).toBe(404);
    expect(await again.json()).toEqual({ error: `network lexicon '${status}' not found` });
  });

  test("one that was uploaded is none to list or delete here", async () => {
    await instance.admin("POST", "/lexicons", { lexicon_json: recordLexicon() });
    expect(await instance.get(path)).toEqual([]);
    expect((await instance.admin("DELETE", `${path}/${status}`)).status).toBe(404);
    expect(instance.lexicons.get(status)).toBeDefined();
  });

  describe("backfill", () => {
    beforeEach(() => around.publish(recordLexicon()));

    test("asks for the history of a new record lexicon, once", async () => {
      const response = await post({ nsid: status, backfill: true });
      expect(await response.json()).toMatchObject({ revision: 1, backfill_job_id: "job-1" });
      expect(changes).toMatchObject([{ action: "created", history: { actor: null } }]);
      expect(await instance.get(`/lexicons/${status}`)).toMatchObject({ backfill: true });
      expect(await (await post({ nsid: status, backfill: true })).json()).not.toHaveProperty(
        "backfill_job_id",
      );
      expect(changes[1]).not.toHaveProperty("history");
    });

    test.each([
      ["false", { backfill: false }],
      ["not said", {}],
    ])("that is %s asks for nothing", async (_, given) => {
      const response = await post({ nsid: status, ...given });
      expect(await response.json()).not.toHaveProperty("backfill_job_id");
      expect(changes[0]).not.toHaveProperty("history");
    });

    test("needs the permission to start one, and names who asked", async () => {
      const one = { authorization: "Test lexicons:create" };
      await post({ nsid: status, backfill: true }, one);
      expect(changes[0]).not.toHaveProperty("history");
      await instance.admin("DELETE", `${path}/${status}`);
      await post({ nsid: status, backfill: true }, { authorization: "Test lexicons:create,backfill:create" });
      expect(changes.at(-1)).toMatchObject({ history: { actor: "did:plc:permitted" } });
    });
  });

  describe("what cannot be added", () => {
    const refusal = async (nsid: string): Promise<{ status: number; error: string }> => {
      const response = await post({ nsid });
      const { error } = (await response.json()) as { error: string };
      expect(await instance.get(path)).toEqual([]);
      expect(instance.events).toEqual([]);
      return { status: response.status, error };
    };

    test("one segment", async () => {
      expect(await refusal("single")).toEqual({
        status: 400,
        error: "invalid NSID (too few segments): single",
      });
    });

    test("a domain that names nobody", async () => {
      expect(await refusal("org.example.status")).toEqual({
        status: 400,
        error: expect.stringMatching(/^DNS TXT lookup failed for _lexicon\.example\.org: /),
      });
      around.dns.set("_lexicon.example.org", "v=spf1");
      expect(await refusal("org.example.status")).toEqual({
        status: 400,
        error: "no did= TXT record found at _lexicon.example.org",
      });
    });

    test("an authority without such a record", async () => {
      const error = `lexicon record not found for ${status} in ${around.alice.did}'s repo`;
      expect(await refusal(status)).toEqual({ status: 404, error });
    });

    test("an authority that nobody knows, a PDS that fails or says nonsense", async () => {
      await around.publish(recordLexicon());
      around.network.faults.add({ service: "plc", status: 503, times: 1 });
      expect(await refusal(status)).toMatchObject({ status: 502 });
      around.network.faults.add({ service: "pds", wrongJson: true, times: 1 });
      expect(await refusal(status)).toMatchObject({
        status: 502,
        error: expect.stringContaining("gives no JSON"),
      });
      around.network.faults.add({ service: "pds", truncateAfter: 20, times: 1 });
      expect(await refusal(status)).toMatchObject({ status: 502 });
      around.network.faults.add({ service: "pds", redirect: "http://127.0.0.1:9/", times: 1 });
      expect(await refusal(status)).toMatchObject({ status: 502 });
    });

    test("a document of another id, another type or another version", async () => {
      await around.alice.put(schema, status, { ...recordLexicon("xyz.statusphere.other") });
      expect(await refusal(status)).toEqual({
        status: 400,
        error: `the lexicon record of ${status} carries the id "xyz.statusphere.other"`,
      });
      await around.alice.put(schema, status, { ...recordLexicon(), $type: "a.b.c" });
      expect(await refusal(status)).toMatchObject({ error: expect.stringContaining('of the type "a.b.c"') });
      await around.alice.put(schema, status, { ...recordLexicon(status, { lexicon: 2 }) });
      expect(await refusal(status)).toEqual({ status: 400, error: "unsupported lexicon version: 2" });
    });

    test("a document that is too large or too deep", async () => {
      await around.publish(recordLexicon(status, { description: "x".repeat(1024 * 1024) }));
      expect(await refusal(status)).toMatchObject({
        status: 400,
        error: expect.stringContaining("more than 1048576"),
      });
      let deep: object = {};
      for (let i = 0; i < 200; i++) deep = { deep };
      await around.publish(recordLexicon(status, { deep }));
      expect(await refusal(status)).toMatchObject({ error: expect.stringContaining("nested too deeply") });
    });
  });

  test.each<[string, string, string, object | undefined]>([
    ["GET", path, "lexicons:read", undefined],
    ["GET", `${path}/resolve/${status}`, "lexicons:read", undefined],
    ["POST", path, "lexicons:create", { nsid: status }],
    ["DELETE", `${path}/${status}`, "lexicons:delete", undefined],
  ])("%s %s needs %s", async (method, at, permission, body) => {
    await around.publish(recordLexicon());
    if (method === "DELETE") await post({ nsid: status });
    around.dns.asked.length = 0;
    const as = (headers: Record<string, string>): Promise<Response> =>
      instance.admin(method, at, body, headers);
    const before = JSON.stringify(await instance.get("/lexicons"));
    expect((await as({})).status).toBe(401);
    const others = ["lexicons:create", "lexicons:read", "lexicons:delete"].filter((id) => id !== permission);
    for (const headers of [limitedHeaders, { authorization: `Test ${others.join(",")}` }]) {
      const denied = await as(headers);
      expect(denied.status).toBe(403);
      expect(await denied.json()).toMatchObject({ message: `Missing permission: ${permission}` });
    }
    expect(around.dns.asked).toEqual([]);
    expect(JSON.stringify(await instance.get("/lexicons"))).toBe(before);
    const allowed = await as({ authorization: `Test ${permission}` });
    expect([200, 201, 204]).toContain(allowed.status);
  });
});

describe.each(databases().slice(0, 1))("with a proof asked for, on $name", (subject) => {
  test("the record comes as its authority signed it, and nothing else is taken", async () => {
    await using around = await createAtmosphere();
    await around.publish(recordLexicon());
    await using instance = await startInstance(subject, around, { proof: true });
    const add = async (): Promise<[number, unknown]> => {
      const response = await instance.admin("POST", path, { nsid: status });
      return [response.status, await response.json()];
    };
    around.network.faults.add({ service: "pds", method: "com.atproto.repo.getRecord", status: 500 });
    expect(await add()).toMatchObject([201, { revision: 1 }]);
    expect(await instance.get(`/lexicons/${status}`)).toMatchObject({
      lexicon_json: { $type: schema, ...recordLexicon() },
    });
    const method = "com.atproto.sync.getRecord";
    around.network.faults.add({ service: "pds", method, truncateAfter: 200, times: 1 });
    expect(await add()).toMatchObject([502, { error: expect.stringContaining("does not prove") }]);
    around.network.faults.add({ service: "pds", method, wrongJson: true, times: 1 });
    expect(await add()).toMatchObject([502, { error: expect.stringContaining("does not prove") }]);
    await around.alice.delete(schema, status);
    expect(await add()).toMatchObject([404, {}]);
  });
});
