import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { TID } from "@atproto/common-web";
import { databases } from "../../setup/databases.ts";
import {
  createAtmosphere,
  keptDatabase,
  queryLexicon,
  recordLexicon,
  schema,
  startInstance,
  status,
  type Atmosphere,
  type Instance,
} from "./_atmosphere.ts";

const path = "/network-lexicons";

describe.each(databases())("network lexicons and the stream on $name", (subject) => {
  let around: Atmosphere;
  let instance: Instance;

  beforeEach(async () => {
    around = await createAtmosphere();
    await around.publish(recordLexicon());
    instance = await startInstance(subject, around, { stream: true });
    await instance.admin("POST", path, { nsid: status, target_collection: "a.b.c" });
    await instance.admin("POST", "/lexicons", { lexicon_json: recordLexicon("com.example.marker") });
    instance.events.length = 0;
  });
  afterEach(async () => {
    await instance.stop();
    await around[Symbol.asyncDispose]();
  });

  const known = (): Record<string, unknown> | undefined => instance.lexicons.get(status)?.document;
  /** Resolves when the instance has taken what was written before. */
  async function settled(): Promise<void> {
    const { uri } = await around.alice.create("com.example.marker", {});
    await vi.waitFor(
      async () => {
        const row = await instance.running.app.db.get("SELECT uri FROM happyview_records WHERE uri = ?", [
          uri,
        ]);
        expect(row).toBeDefined();
      },
      { interval: 5, timeout: 10_000 },
    );
  }

  test("a new version is in force as it is published; what the instance added stays", async () => {
    await around.publish(recordLexicon(status, { description: "second" }));
    await vi.waitFor(() => expect(known()).toMatchObject({ description: "second" }), { timeout: 10_000 });
    expect(instance.lexicons.get(status)).toMatchObject({ revision: 2, targetCollection: "a.b.c" });
    expect(instance.told()).toEqual([`lexicon.updated ${status} {"revision":2,"source":"network"}`]);
    const stored = await instance.running.app.db.get<{ lexicon_json: string; revision: number }>(
      "SELECT lexicon_json, revision FROM lexicons WHERE id = ?",
      [status],
    );
    expect(stored?.revision).toBe(2);
    expect(JSON.parse(stored?.lexicon_json ?? "")).toMatchObject({ description: "second" });
  });

  test("the same version again is no revision", async () => {
    await around.publish(recordLexicon());
    await settled();
    expect(instance.lexicons.get(status)).toMatchObject({ revision: 1 });
    expect(instance.told()).toEqual([]);
  });

  test("another type changes what is served and what is tracked", async () => {
    expect(instance.lexicons.isTracked(status)).toBe(true);
    await around.publish(queryLexicon(status));
    await vi.waitFor(() => expect(instance.lexicons.isTracked(status)).toBe(false), { timeout: 10_000 });
    expect((await instance.running.request(`/xrpc/${status}`)).status).toBe(200);
  });

  test.each<[string, object, string]>([
    ["another id", recordLexicon("xyz.statusphere.other"), 'carries the id "xyz.statusphere.other"'],
    ["another version", recordLexicon(status, { lexicon: 2 }), "unsupported lexicon version: 2"],
    ["no version", { id: status }, "must have a numeric 'lexicon' field"],
  ])(
    "a version with %s is refused with an event, and the known one serves on",
    async (_, document, reason) => {
      await around.alice.put(schema, status, { ...document });
      await vi.waitFor(() => expect(instance.told()).toHaveLength(1), { timeout: 10_000 });
      expect(instance.events.find(({ type }) => type.startsWith("lexicon."))).toMatchObject({
        type: "lexicon.refused",
        severity: "warn",
        subject: status,
        detail: { reason: expect.stringContaining(reason), source: "network" },
      });
      expect(instance.lexicons.get(status)).toMatchObject({ revision: 1, document: recordLexicon() });
      expect(instance.lexicons.get("xyz.statusphere.other")).toBeUndefined();
    },
  );

  test("what somebody else publishes under the NSID is nothing", async () => {
    const mallory = await around.network.createAccount();
    await around.publish(recordLexicon(status, { description: "forged" }), mallory);
    await mallory.delete(schema, status);
    await settled();
    expect(instance.lexicons.get(status)).toMatchObject({ revision: 1, document: recordLexicon() });
    expect(instance.told()).toEqual([]);
  });

  test("an uploaded lexicon follows nobody", async () => {
    await instance.admin("POST", "/lexicons", { lexicon_json: recordLexicon() });
    await around.publish(recordLexicon(status, { description: "second" }));
    await around.alice.delete(schema, status);
    await settled();
    expect(known()).toEqual(recordLexicon());
  });

  test("one that its authority takes back is gone, and stays gone", async () => {
    await around.alice.delete(schema, status);
    await vi.waitFor(() => expect(instance.lexicons.get(status)).toBeUndefined(), { timeout: 10_000 });
    expect(instance.told()).toEqual([`lexicon.deleted ${status} {"source":"network"}`]);
    expect(await instance.get(path)).toEqual([]);
    await around.publish(recordLexicon());
    await settled();
    expect(instance.lexicons.get(status)).toBeUndefined();
  });

  describe("when the stream repeats itself", () => {
    /** An event of the past, as a stream tells it that resumes. */
    const replay = (operation: "update" | "delete", record?: object): void => {
      const commit = { rev: TID.fromTime(1_700_000_000_000_000, 0).toString(), operation };
      around.network.jetstream.publish(
        JSON.stringify({
          did: around.alice.did,
          time_us: Date.now() * 1000,
          kind: "commit",
          commit: { ...commit, collection: schema, rkey: status, ...(record ? { record, cid: "" } : {}) },
        }),
      );
    };
    test("an old version does not replace the current one", async () => {
      const readAt = instance.lexicons.get(status)?.lastFetchedAt;
      replay("update", { $type: schema, ...recordLexicon(status, { description: "old" }) });
      await vi.waitFor(() => expect(instance.lexicons.get(status)?.lastFetchedAt).not.toBe(readAt), {
        timeout: 10_000,
      });
      expect(instance.lexicons.get(status)).toMatchObject({ revision: 1, document: recordLexicon() });
      expect(instance.told()).toEqual([]);
    });

    test("an old delete does not remove what is published", async () => {
      const readAt = instance.lexicons.get(status)?.lastFetchedAt;
      replay("delete");
      await vi.waitFor(() => expect(instance.lexicons.get(status)?.lastFetchedAt).not.toBe(readAt), {
        timeout: 10_000,
      });
      expect(instance.lexicons.get(status)).toMatchObject({ revision: 1 });
    });

    test("a delete that looks old and is none removes it", async () => {
      await instance.stop();
      instance = await startInstance(subject, around);
      await instance.admin("POST", path, { nsid: status });
      await around.alice.delete(schema, status);
      await instance.running.app.records.pipeline.ingest({
        kind: "commit",
        action: "delete",
        did: around.alice.did,
        collection: schema,
        rkey: status,
        rev: TID.fromTime(1_700_000_000_000_000, 0).toString(),
        cid: "",
      });
      await vi.waitFor(() => expect(instance.lexicons.get(status)).toBeUndefined(), { timeout: 10_000 });
      expect(instance.told().at(-1)).toBe(`lexicon.deleted ${status} {"source":"network"}`);
    });
  });
});

describe.each(databases())("declared network lexicons and the stream on $name", (subject) => {
  test("one that is taken back comes again when it is published again", async () => {
    await using around = await createAtmosphere();
    await around.publish(recordLexicon());
    const config = { networkLexicons: [{ nsid: status, targetCollection: "a.b.c" }] };
    await using instance = await startInstance(subject, around, { stream: true, config });
    const isServed = (): boolean => instance.lexicons.get(status) !== undefined;
    await vi.waitFor(() => expect(isServed()).toBe(true));
    await around.alice.delete(schema, status);
    await vi.waitFor(() => expect(isServed()).toBe(false), { timeout: 10_000 });
    expect(await instance.health()).toMatchObject({ served: 0, waiting: [status] });
    await around.publish(recordLexicon(status, { description: "again" }));
    await vi.waitFor(() => expect(isServed()).toBe(true), { timeout: 10_000 });
    expect(instance.lexicons.get(status)).toMatchObject({ targetCollection: "a.b.c", origin: "config" });
  });

  test("one that waits is looked at when the stream says that it was published", async () => {
    await using around = await createAtmosphere();
    // Left alone it would be asked again after so many seconds.
    const headers = { "Retry-After": "100" };
    around.network.faults.add({ service: "plc", status: 429, headers, times: 1 });
    around.network.faults.add({ service: "pds", status: 429, headers, times: 1 });
    await using instance = await startInstance(subject, around, {
      stream: true,
      config: { networkLexicons: [status] },
    });
    await vi.waitFor(() => expect(instance.told().at(-1)).toContain("answers 429"), { timeout: 10_000 });
    await around.publish(recordLexicon());
    await vi.waitFor(() => expect(instance.lexicons.get(status)).toBeDefined(), { timeout: 10_000 });
  });
});

describe.each(databases())("network lexicons as they age on $name", (subject) => {
  test("are read anew; only another document is a revision", async () => {
    await using around = await createAtmosphere();
    await around.publish(recordLexicon());
    await using instance = await startInstance(subject, around, { refreshMs: 20 });
    await instance.admin("POST", path, { nsid: status });
    const at = (): string | null | undefined => instance.lexicons.get(status)?.lastFetchedAt;
    const first = at();
    await vi.waitFor(() => expect(at()).not.toBe(first), { interval: 5 });
    expect(instance.lexicons.get(status)).toMatchObject({ revision: 1 });
    await around.publish(recordLexicon(status, { description: "second" }));
    await vi.waitFor(() => expect(instance.lexicons.get(status)?.revision).toBe(2), { interval: 5 });
    const later = at();
    await vi.waitFor(() => expect(at()).not.toBe(later), { interval: 5 });
    expect(instance.lexicons.get(status)?.revision).toBe(2);
    const row = await instance.running.app.db.get<{ last_fetched_at: string }>(
      "SELECT last_fetched_at FROM lexicons WHERE id = ?",
      [status],
    );
    expect((row?.last_fetched_at ?? "") > (later ?? "")).toBe(true);
  });

  test("serve at once at the start, and are read anew in the background, only so many at once", async () => {
    await using around = await createAtmosphere();
    const kept = await keptDatabase(subject);
    const ids = Array.from({ length: 9 }, (_, i) => `xyz.statusphere.n${i}`);
    for (const id of ids) await around.publish(recordLexicon(id));
    const first = await startInstance(kept, around);
    for (const nsid of ids) await first.admin("POST", path, { nsid });
    await first.stop();

    for (const id of ids) await around.publish(recordLexicon(id, { description: "second" }));
    let open = 0;
    let most = 0;
    const answers: (() => void)[] = [];
    const resolveTxt = async (): Promise<string[][]> => {
      most = Math.max(most, ++open);
      await new Promise<void>((resolve) => answers.push(resolve));
      open--;
      return [[`did=${around.alice.did}`]];
    };
    const second = await startInstance(kept, around, { resolveTxt, refreshMs: 0.001, concurrency: 3 });
    expect(second.lexicons.list().map(({ id, revision }) => [id, revision])).toEqual(
      ids.map((id) => [id, 1]),
    );
    await vi.waitFor(
      () => {
        answers.shift()?.();
        expect(second.lexicons.list().map(({ revision }) => revision)).toEqual(ids.map(() => 2));
      },
      { interval: 1, timeout: 10_000 },
    );
    expect(most).toBe(3);
    await second.stop();
    await kept.drop();
  });

  test("whose authority fails serve on, and the failure is told and shown", async () => {
    await using around = await createAtmosphere();
    await around.publish(recordLexicon());
    await using instance = await startInstance(subject, around, { refreshMs: 20 });
    await instance.admin("POST", path, { nsid: status });
    await around.alice.delete(schema, status); // no stream tells of it: that alone removes nothing
    await vi.waitFor(async () => expect(await instance.health()).toMatchObject({ failing: [status] }));
    expect(instance.lexicons.get(status)).toMatchObject({ revision: 1 });
    const { detail } = instance.events.find(({ type }) => type === "lexicon.unresolved") ?? {};
    expect(detail).toEqual({ reason: expect.stringContaining("RecordNotFound"), served: true });
    await around.publish(recordLexicon(status, { description: "second" }));
    await vi.waitFor(() => expect(instance.lexicons.get(status)?.revision).toBe(2));
    await vi.waitFor(async () => expect(await instance.health()).toMatchObject({ failing: [] }));
  });

  test("whose document can no longer be served keep the known one", async () => {
    await using around = await createAtmosphere();
    await around.publish(recordLexicon());
    await using instance = await startInstance(subject, around, { refreshMs: 20 });
    await instance.admin("POST", path, { nsid: status });
    await around.alice.put(schema, status, { ...recordLexicon("xyz.statusphere.other") });
    await vi.waitFor(() => expect(instance.told().at(-1)).toContain("carries the id"));
    expect(instance.lexicons.get(status)).toMatchObject({ revision: 1, document: recordLexicon() });
  });

  test("follow the domain to another account, with a warning", async () => {
    await using around = await createAtmosphere();
    const { alice, dns, network } = around;
    await around.publish(recordLexicon());
    await using instance = await startInstance(subject, around, { refreshMs: 20 });
    await instance.admin("POST", path, { nsid: status });
    const bob = await network.createAccount();
    await around.publish(recordLexicon(), bob);
    dns.setAuthority("statusphere.xyz", bob.did);
    await vi.waitFor(() => expect(instance.lexicons.get(status)?.authorityDid).toBe(bob.did));
    expect(instance.lexicons.get(status)?.revision).toBe(1);
    expect(await instance.get(path)).toMatchObject([{ authority_did: bob.did }]);
    await vi.waitFor(() =>
      expect(instance.events).toContainEqual(
        expect.objectContaining({
          type: "lexicon.authority_changed",
          severity: "warn",
          subject: status,
          detail: { from: alice.did, to: bob.did },
        }),
      ),
    );
  });
});
