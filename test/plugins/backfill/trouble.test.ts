import { describe, expect, onTestFinished, test } from "vitest";
import { computeCid } from "../../../core/records/verify.ts";
import { startDns } from "../../../playground/network/dns.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import type { Reply } from "../../../playground/network/service.ts";
import { differences } from "../../core/convergence/_stream.ts";
import { databases } from "../../setup/databases.ts";
import {
  eventually,
  fill,
  openDatabase,
  start,
  startInstance,
  status,
  tableOf,
  watchRequests,
  worldOf,
} from "./_bench.ts";

async function networkOf(hosts: number, ...accounts: [host: number, records: number][]): Promise<Network> {
  const network = await createNetwork({ seed: 17, hosts });
  onTestFinished(network.close);
  for (const [host, records] of accounts) await fill(await network.createAccount({ host }), status, records);
  return network;
}

const listRecords = "com.atproto.repo.listRecords";

/** As our services answer. */
const pageOf = ({ body }: Reply): Record<string, unknown> =>
  JSON.parse(String(body)) as Record<string, unknown>;

describe.each(databases())("a backfill in trouble on $name", (subject) => {
  test("gives up on all repos of a host that is down, on no others, and brings them when it is back", async () => {
    const many = Array.from({ length: 70 }, (): [number, number] => [0, 1]);
    const network = await networkOf(2, ...many, [1, 3], [1, 150]);
    const back = network.faults.add({ service: "pds", host: 0, status: 503 });
    const seen = watchRequests(network);
    const instance = await start(subject, { network });
    const job = await instance.finish({});
    expect(job).toMatchObject({
      total_repos: 72,
      processed_repos: 72,
      failed_repos: 70,
      total_records: 153,
      error_counts: { pds_server_error: 70 },
      complete: false,
    });
    // Few of the repos were asked for at all.
    expect(seen.filter(({ method }) => method === "getLatestCommit").length).toBeLessThan(30);
    const { body } = await instance.ask<{ pds_endpoints: unknown[] }>(`GET /backfill/${job.id}/pds-summary`);
    expect(body.pds_endpoints).toMatchObject([
      { pds_endpoint: network.pds[0]?.url, total_repos: 70, completed_repos: 0, failed_repos: 70 },
      { pds_endpoint: network.pds[1]?.url, total_repos: 2, completed_repos: 2, failed_repos: 0 },
    ]);
    type Errors = { errors: { did: string }[]; cursor: string | null };
    const errors = async (query: string): Promise<Errors> =>
      (await instance.ask<Errors>(`GET /backfill/${job.id}/errors${query}`)).body;
    const first = await errors("?limit=60");
    expect(first).toMatchObject({
      cursor: first.errors[59]?.did,
      errors: expect.arrayContaining([
        {
          did: expect.any(String),
          pds_endpoint: network.pds[0]?.url,
          kind: "pds_server_error",
          message: expect.stringContaining("503"),
          attempts: expect.any(Number),
        },
      ]),
    });
    expect((await errors(`?cursor=${first.cursor}`)).errors).toHaveLength(10);
    expect(
      (await instance.ask<{ repos: unknown[] }>(`GET /backfill/${job.id}/repos?phase=failed&limit=100`)).body
        .repos,
    ).toHaveLength(70);

    back();
    expect(await instance.ask(`POST /backfill/${job.id}/retry-failed`)).toEqual({
      status: 200,
      body: { id: job.id, status: "running" },
    });
    expect(await instance.reaches(job.id, "completed")).toMatchObject({
      failed_repos: 0,
      total_repos: 72,
      total_records: 223,
      error_counts: {},
      complete: true,
      stage: "completed",
    });
    expect(differences(await tableOf(instance), worldOf(network))).toEqual([]);
    expect(instance.events.map(({ type }) => type)).toContain("backfill.retried");
  });

  test("looks for repos once more where the relay had failed", async () => {
    const network = await networkOf(1, [0, 3]);
    const back = network.faults.add({ service: "relay", status: 404 });
    const instance = await start(subject, { network });
    const job = await instance.finish({ collection: status });
    expect(job).toMatchObject({
      total_repos: 0,
      complete: false,
      error: expect.stringContaining(`the repos of ${status} could not all be found: `),
    });
    back();
    await instance.ask(`POST /backfill/${job.id}/retry-failed`);
    expect(await instance.reaches(job.id, "completed")).toMatchObject({
      total_repos: 1,
      total_records: 3,
      error: null,
      complete: true,
    });
  });

  test.each<[string, (page: Record<string, unknown>) => unknown]>([
    ["without a list", () => ({})],
    ["with a list that is none", (page) => ({ ...page, repos: "all" })],
    ["with a cursor that is no text", (page) => ({ ...page, cursor: 5 })],
  ])("does not take a page of the relay %s for the end", async (_, change) => {
    const network = await networkOf(1, [0, 3]);
    network.faults.add({
      service: "relay",
      lie: (truth) => ({ ...truth, body: JSON.stringify(change(pageOf(truth))) }),
    });
    const instance = await start(subject, { network, backfill: { coolDownMs: 1 } });
    expect(await instance.finish({ collection: status })).toMatchObject({
      complete: false,
      error: expect.stringContaining("the relay does not answer with a list of repos and a cursor"),
    });
  });

  test.each<[string, (page: Record<string, unknown>) => unknown]>([
    ["without a list", () => ({})],
    ["with a list that is none", (page) => ({ ...page, records: "all" })],
    ["with a record that is none", (page) => ({ ...page, records: ["a record"] })],
    ["with a cursor that is no text", (page) => ({ ...page, cursor: 5 })],
    ["with the cursor that was asked for", (page) => ({ ...page, cursor: "r1" })],
  ])("does not take a page of a repo %s for the end", async (_, change) => {
    const network = await networkOf(1);
    const [alice, anna] = [await network.createAccount(), await network.createAccount()];
    await fill(alice, status, 150);
    await fill(anna, status, 3);
    network.faults.add({
      method: listRecords,
      did: alice.did,
      lie: (truth) => ({ ...truth, body: JSON.stringify(change(pageOf(truth))) }),
    });
    const instance = await start(subject, { network, backfill: { downAfter: 100 } });
    await instance.app.records.pipeline.ingestMany([
      {
        kind: "commit",
        action: "create",
        did: alice.did,
        collection: status,
        rkey: "gone",
        rev: "3aaaaaaaaaa22",
        record: { text: "a" },
        cid: computeCid({ text: "a" }) ?? "",
      },
    ]);
    expect(await instance.finish({ collection: status })).toMatchObject({
      complete: false,
      failed_repos: 1,
      error_counts: { invalid_response: 1 },
      removed_records: 0,
    });
    const table = Object.keys(await tableOf(instance));
    expect(table.filter((uri) => uri.includes(anna.did))).toHaveLength(3);
    expect(table).toContain(`at://${alice.did}/${status}/gone`);
  });

  test("does not read for ever what comes again under new names", async () => {
    const network = await networkOf(1, [0, 150]);
    const seen = watchRequests(network);
    let first: string | undefined;
    network.faults.add({
      method: listRecords,
      lie(truth) {
        first ??= String(truth.body);
        const cursor = `page ${seen.length}`;
        return { ...truth, body: JSON.stringify({ ...pageOf({ ...truth, body: first }), cursor }) };
      },
    });
    const instance = await start(subject, { network });
    expect(await instance.finish({ collection: status })).toMatchObject({
      complete: false,
      error_counts: { invalid_response: 1 },
    });
    expect(seen.filter(({ method }) => method === "listRecords")).toHaveLength(2);
  });

  test("counts the pages of a repo, whatever happens between them, and ends where they have no end", async () => {
    const network = await networkOf(1, [0, 450]);
    const slow = network.faults.add({ method: listRecords, latencyMs: 40 });
    const instance = await start(subject, { network });
    const id = await instance.create({ collection: status });
    const { db } = instance.app;
    const pagesOf = async (): Promise<number> => {
      const row = await db.get<{ progress: string }>("SELECT progress FROM happyview_backfill_repos");
      return (JSON.parse(row?.progress ?? "{}") as { pages?: number }).pages ?? 0;
    };
    await eventually(async () => expect(await pagesOf()).toBeGreaterThan(0));
    await instance.ask(`POST /backfill/${id}/pause`);
    await instance.reaches(id, "paused");
    const pages = await pagesOf();
    await db.run("UPDATE happyview_backfill_repos SET progress = replace(progress, ?, ?)", [
      `"pages":${pages}`,
      `"pages":49999`,
    ]);
    slow();
    await instance.ask(`POST /backfill/${id}/resume`);
    expect(await instance.reaches(id, "completed")).toMatchObject({ error_counts: { invalid_response: 1 } });
    await instance.ask(`POST /backfill/${id}/retry-failed`);
    expect(await instance.reaches(id, "completed")).toMatchObject({ total_records: 450, complete: true });
  });

  test.each(["listRecords", "getRepo"])(
    "leaves out a record that is too large, and says so (%s)",
    async (method) => {
      const network = await networkOf(1, [0, 3]);
      const [account] = network.accounts;
      await account?.create(status, { text: "x".repeat(2 * 1024 * 1024) }, "large");
      const instance = await start(subject, { network });
      const job = await instance.finish({ collection: status, method });
      expect(job).toMatchObject({
        complete: false,
        total_records: 3,
        error_counts: { invalid_response: 1 },
        plan: { method },
      });
      const { body } = await instance.ask<{ errors: unknown[] }>(`GET /backfill/${job.id}/errors`);
      expect(body.errors).toMatchObject([{ message: expect.stringContaining("1 records of") }]);
      expect(Object.keys(await tableOf(instance))).toHaveLength(3);
    },
  );

  test("ends with the rest of a repo, whose last page never comes", async () => {
    const network = await networkOf(1, [0, 250]);
    network.faults.add({
      method: listRecords,
      lie: (truth, { params }) =>
        (params.get("cursor") ?? "r999") < "r100" ? { status: 500, body: "{}" } : truth,
    });
    const instance = await start(subject, { network });
    const job = await instance.finish({});
    expect(job).toMatchObject({ failed_repos: 1, total_records: 200, error_counts: { pds_server_error: 1 } });
    // When the host has mended it, only that page is fetched.
    network.faults.clear();
    const seen = watchRequests(network);
    await instance.ask(`POST /backfill/${job.id}/retry-failed`);
    expect(await instance.reaches(job.id, "completed")).toMatchObject({ total_records: 250, complete: true });
    expect(
      seen.filter(({ method }) => method === "listRecords").map(({ params }) => params.get("cursor")),
    ).toEqual(["r050", "r000"]);
    expect(differences(await tableOf(instance), worldOf(network))).toEqual([]);
  });

  test("counts the right records of a list in which some are wrong, and knows them when they are right", async () => {
    const network = await networkOf(1, [0, 250]);
    network.faults.add({
      method: listRecords,
      lie(truth) {
        const { records, cursor } = JSON.parse(String(truth.body)) as {
          records: { uri: string; value: object }[];
          cursor?: string;
        };
        const lies = records.map((entry) =>
          entry.uri.endsWith("7") ? { ...entry, value: { ...entry.value, text: "other" } } : entry,
        );
        return { ...truth, body: JSON.stringify({ records: lies, cursor }) };
      },
    });
    const instance = await start(subject, { network });
    const job = await instance.finish({});
    expect(job).toMatchObject({ failed_repos: 1, total_records: 225, error_counts: { cid_mismatch: 1 } });
    const { body } = await instance.ask<{ errors: { message: string }[] }>(`GET /backfill/${job.id}/errors`);
    expect(body.errors[0]?.message).toContain("25 records");
    expect(Object.keys(await tableOf(instance))).toHaveLength(225);
    network.faults.clear();
    await instance.ask(`POST /backfill/${job.id}/retry-failed`);
    expect(await instance.reaches(job.id, "completed")).toMatchObject({
      failed_repos: 0,
      total_records: 250,
      complete: true,
    });
    expect(differences(await tableOf(instance), worldOf(network))).toEqual([]);
  });

  test("follows accounts that have moved since it looked them up", async () => {
    const network = await networkOf(2, [0, 120], [0, 3], [0, 2]);
    const [first, second, lost] = network.accounts;
    const instance = await start(subject, { network });
    expect(await instance.finish({})).toMatchObject({ failed_repos: 0, total_records: 125 });
    const elsewhere = { url: network.pds[1]?.url ?? "", index: 1 };
    for (const account of [first, second]) {
      await account?.moveTo(elsewhere);
      await account?.create(status, { text: "from the new host" });
    }
    // One moves to a host that does not know it either.
    await lost?.moveTo({ url: elsewhere.url, index: 7 });
    const job = await instance.finish({});
    expect(job).toMatchObject({
      total_repos: 3,
      failed_repos: 1,
      error_counts: { repo_not_found: 1 },
      total_records: 125,
    });
    expect(differences(await tableOf(instance), worldOf(network))).toEqual([]);
    // What is tried again is looked up anew.
    await lost?.moveTo(elsewhere);
    await instance.ask(`POST /backfill/${job.id}/retry-failed`);
    expect(await instance.reaches(job.id, "completed")).toMatchObject({ failed_repos: 0, complete: true });
  });

  test("looks for the repos of a host that is down elsewhere when they are tried again", async () => {
    const many = Array.from({ length: 20 }, (): [number, number] => [0, 1]);
    const network = await networkOf(2, ...many);
    network.faults.add({ service: "pds", host: 0, status: 503 });
    const instance = await start(subject, { network });
    const job = await instance.finish({});
    expect(job).toMatchObject({ failed_repos: 20, complete: false });
    for (const account of network.accounts)
      await account.moveTo({ url: network.pds[1]?.url ?? "", index: 1 });
    await instance.ask(`POST /backfill/${job.id}/retry-failed`);
    expect(await instance.reaches(job.id, "completed")).toMatchObject({ total_records: 20, complete: true });
  });

  test("lists a repo from its beginning when it is tried again on another host", async () => {
    const network = await networkOf(2, [0, 250]);
    const [account] = network.accounts;
    network.faults.add({
      host: 0,
      method: listRecords,
      lie: (truth, { params }) =>
        (params.get("cursor") ?? "r999") < "r100" ? { status: 500, body: "{}" } : truth,
    });
    const instance = await start(subject, { network });
    const job = await instance.finish({});
    expect(job).toMatchObject({ failed_repos: 1, total_records: 200 });
    await account?.moveTo({ url: network.pds[1]?.url ?? "", index: 1 });
    await account?.create(status, { text: "from the new host" }, "s000");
    const seen = watchRequests(network);
    await instance.ask(`POST /backfill/${job.id}/retry-failed`);
    expect(await instance.reaches(job.id, "completed")).toMatchObject({ total_records: 251, complete: true });
    expect(
      seen.filter(({ method }) => method === "listRecords").map(({ params }) => params.get("cursor")),
    ).toEqual([null, "r151", "r051", "r000"]);
    expect(differences(await tableOf(instance), worldOf(network))).toEqual([]);
  });

  test("takes no harm from a record that is nested without end", async () => {
    const network = await networkOf(1, [0, 3]);
    const depth = 50_000;
    network.faults.add({
      method: listRecords,
      lie: (truth) => ({
        ...truth,
        body: String(truth.body).replace('"text":"r 1"', `"text":${"[".repeat(depth)}${"]".repeat(depth)}`),
      }),
    });
    const instance = await start(subject, { network });
    expect(await instance.finish({})).toMatchObject({ failed_repos: 1, total_records: 2, complete: false });
    expect(Object.keys(await tableOf(instance))).toHaveLength(2);
  });

  test("asks no private address from a public instance", async () => {
    const network = await networkOf(1, [0, 3]);
    const seen = watchRequests(network);
    const instance = await start(subject, { network, server: { publicUrl: "https://statuses.social" } });
    const job = await instance.finish({ dids: [network.accounts[0]?.did] });
    expect(job).toMatchObject({ failed_repos: 1, error_counts: { other: 1 } });
    expect(await instance.finish({})).toMatchObject({
      total_repos: 0,
      error: expect.stringContaining("could not all be found"),
      complete: false,
    });
    expect(seen).toEqual([]);
  });

  test("believes a handle only when its account names it too", async () => {
    const network = await networkOf(1, [0, 3], [0, 4]);
    const [honest, victim] = [
      await network.createAccount({ handle: "honest.test" }),
      await network.createAccount({ handle: "victim.test" }),
    ];
    await fill(honest, status, 2);
    const dns = await startDns();
    onTestFinished(dns.close);
    dns.set("_atproto.honest.test", `did=${honest.did}`);
    dns.set("_atproto.liar.test", `did=${victim.did}`);
    dns.set("_atproto.ghost.test", "did=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
    dns.set("_atproto.odd.test", "did=nonsense");
    const env = { DNS_SERVERS: dns.server };
    const database = await openDatabase(subject);
    const instance = await startInstance(subject, database, { network, env });
    const liars = ["ghost.test", "liar.test", "nobody.test", "odd.test"];
    const refused = await instance.ask<{ error: string }>("POST /backfill", {
      dids: [...liars, "@honest.test"],
    });
    expect(refused.status).toBe(400);
    const [text, names] = refused.body.error.split(": ");
    expect(text).toBe("these accounts cannot be resolved");
    expect(names?.split(", ").toSorted()).toEqual(liars);
    expect(await instance.finish({ dids: ["@Honest.test", honest.did] })).toMatchObject({
      dids: [honest.did],
      total_records: 2,
      complete: true,
    });
  });
});
