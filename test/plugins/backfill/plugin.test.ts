import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { differences } from "../../core/convergence/_stream.ts";
import { limitedHeaders } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { jsonBody, queryLexicon, recordLexicon } from "../../suites/http/subject.ts";
import {
  eventually,
  fill,
  note,
  openDatabase,
  start,
  startInstance,
  status,
  tableOf,
  watchRequests,
  worldOf,
} from "./_bench.ts";

let network: Network;
/** Of each account, in the order of their creation: host, records of `status`, records of `note`. */
const population = [
  [0, 250, 0],
  [0, 3, 2],
  [1, 0, 5],
  [1, 1, 0],
  [2, 100, 0],
  [2, 0, 0],
] as const;
let dids: string[];

beforeAll(async () => {
  network = await createNetwork({ seed: 11, hosts: 3 });
  dids = [];
  for (const [host, statuses, notes] of population) {
    const account = await network.createAccount({ host });
    if (statuses > 0) await fill(account, status, statuses);
    if (notes > 0) await fill(account, note, notes, "n");
    dids.push(account.did);
  }
});
afterAll(() => network.close());

const ofDids = (table: Record<string, string>, ...wanted: (string | undefined)[]): Record<string, string> =>
  Object.fromEntries(Object.entries(table).filter(([uri]) => wanted.includes(uri.split("/")[2])));

const routes = [
  ["POST /backfill", "backfill:create"],
  ["GET /backfill/status", "backfill:read"],
  ["GET /backfill/some", "backfill:read"],
  ["POST /backfill/some/cancel", "backfill:create"],
  ["POST /backfill/some/pause", "backfill:create"],
  ["POST /backfill/some/resume", "backfill:create"],
  ["POST /backfill/some/retry-failed", "backfill:create"],
  ["GET /backfill/some/repos", "backfill:read"],
  ["GET /backfill/some/errors", "backfill:read"],
  ["GET /backfill/some/pds-summary", "backfill:read"],
  ["GET /backfill/some/events", "backfill:read"],
  ["DELETE /backfill/some/details", "backfill:create"],
  ["DELETE /backfill/details", "backfill:create"],
  ["GET /settings/db-info", "settings:manage"],
] as const;

describe.each(databases())("a backfill on $name", (subject) => {
  test("of one collection brings its records, and counts them", async () => {
    const instance = await start(subject, { network });
    const created = await instance.ask<{ id: string }>("POST /backfill", { collection: status });
    expect(created).toEqual({
      status: 201,
      body: { id: expect.stringMatching(/^[0-9a-f-]{36}$/), status: "running" },
    });
    const { id } = created.body;
    const job = await instance.reaches(id, "completed");
    expect(job).toMatchObject({
      id,
      collection: status,
      did: null,
      dids: null,
      stage: "completed",
      total_repos: 4,
      resolved_repos: 4,
      processed_repos: 4,
      failed_repos: 0,
      total_records: 354,
      removed_records: 0,
      error: null,
      error_counts: {},
      complete: true,
      plan: { method: "listRecords" },
    });
    expect(
      [job.created_at, job.started_at, job.completed_at].every(
        (at) => at !== null && !Number.isNaN(Date.parse(at)),
      ),
    ).toBe(true);
    expect(differences(await tableOf(instance), worldOf(network))).toEqual([]);
    const end = { job_id: id, total_repos: 4, total_records: 354, failed_repos: 0 };
    await eventually(() =>
      expect(instance.events.filter(({ type }) => type.startsWith("backfill."))).toMatchObject([
        { type: "backfill.started", subject: status, detail: { job_id: id } },
        { type: "backfill.completed", severity: "info", subject: status, actor: null, detail: end },
      ]),
    );
  });

  test("of everything asks each repo only for the collections it was found under", async () => {
    const seen = watchRequests(network);
    const instance = await start(subject, { network, collections: [status, note] });
    expect(await instance.finish({})).toMatchObject({
      collection: null,
      total_repos: 5,
      total_records: 361,
      complete: true,
    });
    expect(differences(await tableOf(instance), worldOf(network, [status, note]))).toEqual([]);
    const asked = new Set(
      seen
        .filter(({ method }) => method === "listRecords")
        .map(({ did, params }) => `${dids.indexOf(did)} ${params.get("collection")}`),
    );
    expect([...asked].toSorted()).toEqual([
      `0 ${status}`,
      `1 ${note}`,
      `1 ${status}`,
      `2 ${note}`,
      `3 ${status}`,
      `4 ${status}`,
    ]);
    const lookedUp = seen.filter(({ method }) => method === "did").map(({ did }) => did);
    expect(lookedUp.toSorted()).toEqual(dids.slice(0, 5).toSorted());
  });

  test("of one account asks no relay", async () => {
    const seen = watchRequests(network);
    const instance = await start(subject, { network, collections: [status, note] });
    const job = await instance.finish({ did: ` ${dids[1]} ` });
    expect(job).toMatchObject({
      did: dids[1],
      dids: [dids[1]],
      total_repos: 1,
      total_records: 5,
      complete: true,
    });
    expect(seen.map(({ method }) => method)).not.toContain("listReposByCollection");
    expect(differences(await tableOf(instance), ofDids(worldOf(network, [status, note]), dids[1]))).toEqual(
      [],
    );
  });

  test("of a list of accounts takes each once", async () => {
    const instance = await start(subject, { network });
    const job = await instance.finish({ collection: status, dids: [dids[1], ` ${dids[3]}`, dids[1], " "] });
    expect(job).toMatchObject({ did: null, dids: [dids[1], dids[3]], total_repos: 2, total_records: 4 });
    expect(differences(await tableOf(instance), ofDids(worldOf(network), dids[1], dids[3]))).toEqual([]);
  });

  test("of an account without records is complete with none", async () => {
    const instance = await start(subject, { network });
    expect(await instance.finish({ did: dids[5] })).toMatchObject({
      total_repos: 1,
      processed_repos: 1,
      total_records: 0,
      complete: true,
    });
  });

  test("again changes nothing and counts the same", async () => {
    const instance = await start(subject, { network });
    await instance.finish({});
    const rows = (): Promise<unknown[]> =>
      instance.app.db.all("SELECT * FROM happyview_records ORDER BY uri");
    const before = await rows();
    expect(await instance.finish({})).toMatchObject({
      total_repos: 4,
      total_records: 354,
      removed_records: 0,
      complete: true,
    });
    expect(await rows()).toEqual(before);
  });

  test("of accounts that are none, too many or of no kind is refused", async () => {
    const instance = await start(subject, { network });
    const many = Array.from({ length: 501 }, (_, i) => `did:plc:${String(i).padStart(24, "a")}`);
    const refusals: [Record<string, unknown>, string][] = [
      [{ dids: [" ", ""] }, "dids names no account"],
      [{ dids: [] }, "dids names no account"],
      [{ did: "  " }, "did names no account"],
      [{ did: "" }, "did names no account"],
      [
        { dids: [dids[0], "nobody..test", "also nobody"] },
        "these accounts cannot be resolved: nobody..test, also nobody",
      ],
      [{ dids: many }, "dids names 501 accounts: at most 500 are taken"],
    ];
    for (const [request, error] of refusals)
      expect(await instance.ask("POST /backfill", request)).toEqual({ status: 400, body: { error } });
    for (const request of [{ collection: 5 }, { dids: "did:plc:x" }, { method: "guess" }, []])
      expect(await instance.ask("POST /backfill", request)).toMatchObject({ status: 422 });
    expect((await instance.ask("GET /backfill/status")).body).toEqual([]);
    expect(instance.events).toEqual([]);
  });

  test("of an unknown collection is taken and fails", async () => {
    const instance = await start(subject, { network });
    const error = "no record-type lexicon registered for collection 'com.example.unknown'";
    expect(await instance.finish({ collection: "com.example.unknown" })).toMatchObject({
      status: "failed",
      error,
      complete: null,
      completed_at: expect.any(String),
    });
    // A job's end is told after it is stored.
    await expect
      .poll(() => instance.events.at(-1))
      .toMatchObject({
        type: "backfill.failed",
        severity: "warn",
        detail: { error },
      });
  });

  test("without lexicons is completed and says so, and may be tried again", async () => {
    const instance = await start(subject, { network, collections: [] });
    const id = await instance.create({});
    const error = "no backfill-eligible collections";
    expect(await instance.reaches(id, "completed")).toMatchObject({ error, total_repos: 0, complete: false });
    expect(await instance.ask(`POST /backfill/${id}/retry-failed`)).toEqual({
      status: 400,
      body: { error: "nothing failed" },
    });
    expect(await instance.job(id)).toMatchObject({ status: "completed", error });
  });

  test("is listed with the others, newest first", async () => {
    const instance = await start(subject, { network });
    const first = await instance.create({ did: dids[3] });
    await instance.reaches(first, "completed");
    const second = await instance.create({ did: dids[5] });
    await instance.reaches(second, "completed");
    const { body } = await instance.ask<{ id: string }[]>("GET /backfill/status");
    expect(body.map(({ id }) => id)).toEqual([second, first]);
    expect(body[1]).toEqual(await instance.job(first));
  });

  test("refuses acts that its status does not allow", async () => {
    const instance = await start(subject, { network });
    const id = await instance.create({ did: dids[3] });
    await instance.reaches(id, "completed");
    const refuses = async (act: string, error: string): Promise<void> =>
      expect(await instance.ask(`POST /backfill/${id}/${act}`)).toEqual({ status: 400, body: { error } });
    await refuses("cancel", "job is not running (status: completed)");
    await refuses("pause", "job is not running (status: completed)");
    await refuses("resume", "job is not paused (status: completed)");
    for (const act of ["cancel", "pause", "resume", "retry-failed"])
      expect(await instance.ask(`POST /backfill/nobody/${act}`)).toEqual({
        status: 404,
        body: { error: "backfill job not found" },
      });
    expect(await instance.ask("GET /backfill/nobody")).toMatchObject({ status: 404 });
    expect(await instance.ask("GET /backfill/nobody/events")).toMatchObject({ status: 404 });
  });

  test("tells of its repos, page by page and by phase", async () => {
    const instance = await start(subject, { network });
    const id = await instance.create({});
    await instance.reaches(id, "completed");
    type Page = { repos: { did: string }[]; cursor: string | null };
    const page = async (query: string): Promise<Page> =>
      (await instance.ask<Page>(`GET /backfill/${id}/repos${query}`)).body;
    const sorted = [0, 1, 3, 4].map((i) => dids[i] ?? "").toSorted();
    const all = await page("");
    expect(all).toMatchObject({ cursor: null, repos: sorted.map((did) => ({ did, status: "completed" })) });
    expect(all.repos.find(({ did }) => did === dids[0])).toMatchObject({
      pds_endpoint: network.pds[0]?.url,
      records_fetched: 250,
    });
    const first = await page("?limit=3");
    expect(first.repos.map(({ did }) => did)).toEqual(sorted.slice(0, 3));
    expect(first.cursor).toBe(sorted[2]);
    expect(await page(`?limit=3&cursor=${first.cursor}`)).toMatchObject({
      repos: [{ did: sorted[3] }],
      cursor: null,
    });
    expect((await page("?phase=resolved")).repos).toHaveLength(4);
    expect((await page("?phase=fetched&limit=0")).repos).toHaveLength(1);
    expect((await page("?limit=none")).repos).toHaveLength(4);
    expect(await instance.ask(`GET /backfill/${id}/errors`)).toMatchObject({
      body: { errors: [], cursor: null },
    });
    expect(await instance.ask("GET /backfill/nobody/repos")).toMatchObject({
      body: { repos: [], cursor: null },
    });
    expect((await instance.ask(`GET /backfill/${id}/pds-summary`)).body).toEqual({
      pds_endpoints: [
        {
          pds_endpoint: network.pds[0]?.url,
          total_repos: 2,
          completed_repos: 2,
          failed_repos: 0,
          total_records: 253,
        },
        ...[
          {
            pds_endpoint: network.pds[1]?.url,
            total_repos: 1,
            completed_repos: 1,
            failed_repos: 0,
            total_records: 1,
          },
          {
            pds_endpoint: network.pds[2]?.url,
            total_repos: 1,
            completed_repos: 1,
            failed_repos: 0,
            total_records: 100,
          },
        ].toSorted((a, b) => ((a.pds_endpoint ?? "") < (b.pds_endpoint ?? "") ? -1 : 1)),
      ],
    });

    const other = await instance.create({ did: dids[3] });
    await instance.reaches(other, "completed");
    expect(await instance.ask(`DELETE /backfill/${id}/details`)).toMatchObject({ status: 204 });
    expect((await page("")).repos).toEqual([]);
    expect(await instance.job(id)).toMatchObject({ total_repos: 4, total_records: 354 });
    expect((await instance.ask<Page>(`GET /backfill/${other}/repos`)).body.repos).toHaveLength(1);
    expect(await instance.ask("DELETE /backfill/details")).toMatchObject({ status: 204 });
    expect((await instance.ask<Page>(`GET /backfill/${other}/repos`)).body.repos).toEqual([]);
  });

  test("asks for a permission at each of its routes", async () => {
    const instance = await start(subject, { network });
    for (const [route, permission] of routes) {
      const [method = "", path = ""] = route.split(" ");
      const send = async (headers: Record<string, string>): Promise<Response> =>
        instance.request(
          `/admin${path}`,
          method === "POST" ? jsonBody(method, {}, headers) : { method, headers },
        );
      expect((await send({})).status).toBe(401);
      const refused = await send(limitedHeaders);
      expect(refused.status).toBe(403);
      expect(await refused.json()).toMatchObject({
        error: "InsufficientPermissions",
        message: `Missing permission: ${permission}`,
      });
    }
    expect((await instance.ask("GET /backfill/status")).body).toEqual([]);
  });

  test("starts with a lexicon that wants its history", async () => {
    const instance = await start(subject, { network, collections: [] });
    const upload = (body: Record<string, unknown>) =>
      instance.ask<{ backfill_job_id: string | null }>("POST /lexicons", body);
    expect((await upload({ lexicon_json: recordLexicon(note), backfill: false })).body).toMatchObject({
      backfill_job_id: null,
    });
    expect((await upload({ lexicon_json: queryLexicon("com.example.list") })).body).toMatchObject({
      backfill_job_id: null,
    });
    const { body } = await upload({ lexicon_json: recordLexicon(status) });
    expect(await instance.reaches(body.backfill_job_id ?? "", "completed")).toMatchObject({
      collection: status,
      total_records: 354,
    });
    expect((await upload({ lexicon_json: recordLexicon(status) })).body).toMatchObject({
      backfill_job_id: null,
    });
    expect((await instance.ask("GET /backfill/status")).body).toHaveLength(1);
  });

  test("is not worked on by a process without background work", async () => {
    const database = await openDatabase(subject);
    const command = await startInstance(subject, database, { network, background: false });
    const seen = watchRequests(network);
    const id = await command.create({ collection: status });
    for (let i = 0; i < 50; i++)
      expect(await command.job(id)).toMatchObject({ status: "running", stage: "pending" });
    await command.stop();
    expect(seen).toEqual([]);
    const server = await startInstance(subject, database, { network });
    expect(await server.reaches(id, "completed")).toMatchObject({ total_records: 354 });
  });

  test("says what its connections are, and what the settings would need", async () => {
    const env = { BACKFILL_DATABASE_MAX_CONNECTIONS: "" };
    const instance = await start(subject, { network, env });
    const isPostgres = subject.name === "postgres";
    const expected = {
      backend: subject.name,
      server_max_connections: isPostgres ? 300 : null,
      main_pool_size: 8,
      backfill_pool_size: 3 * 2 + 8 + 4,
      restart_recommended: false,
    };
    const info = async (): Promise<unknown> => (await instance.ask("GET /settings/db-info")).body;
    expect(await info()).toEqual(expected);
    await instance.ask("PUT /settings/backfill_concurrent_pds", { value: "5" });
    expect(await info()).toEqual({ ...expected, restart_recommended: true });
    await instance.ask("PUT /settings/backfill_concurrent_pds", { value: "many" });
    expect(await info()).toEqual({ ...expected, restart_recommended: true }); // the default, 10
    await instance.ask("PUT /settings/backfill_concurrent_pds", { value: "-1" });
    expect(await info()).toEqual(expected);
    await instance.ask("DELETE /settings/backfill_concurrent_pds");
    expect(await info()).toEqual(expected);
  });

  test("takes the concurrency of the settings when it starts", async () => {
    const env = {
      BACKFILL_CONCURRENT_PDS: "",
      BACKFILL_CONCURRENT_DIDS_PER_PDS: "",
      BACKFILL_CONCURRENT_RESOLUTION: "",
    };
    const instance = await start(subject, { network, env });
    for (const key of ["pds", "dids_per_pds", "resolution"])
      await instance.ask(`PUT /settings/backfill_concurrent_${key}`, { value: "1" });
    let open = 0;
    let most = 0;
    const count = (change: number) => {
      open += change;
      most = Math.max(most, open);
    };
    const undo = network.faults.add({
      service: "pds",
      lie: async (truth) => {
        count(1);
        await new Promise((go) => setTimeout(go, 5));
        count(-1);
        return truth;
      },
    });
    expect(await instance.finish({})).toMatchObject({ total_records: 354 });
    undo();
    expect(most).toBe(1);
  });

  test("forgets its details some days after its end", async () => {
    const database = await openDatabase(subject);
    const first = await startInstance(subject, database, { network });
    const id = await first.create({ collection: status });
    await first.reaches(id, "completed");
    await first.stop();
    const days = 24 * 60 * 60 * 1000;
    const details = async (days_: number, env: Record<string, string> = {}): Promise<number> => {
      const later = await startInstance(subject, database, {
        network,
        env,
        now: () => Date.now() + days_ * days,
      });
      // The sweep begins when the server is ready, and nothing waits for its end: a next one sees what it has done.
      const count = async (): Promise<number> =>
        (await later.ask<{ repos: unknown[] }>(`GET /backfill/${id}/repos`)).body.repos.length;
      return count().finally(later.stop);
    };
    expect(await details(27)).toBe(4);
    expect(await details(400, { BACKFILL_RETENTION_DAYS: "0" })).toBe(4);
    expect(await details(3, { BACKFILL_RETENTION_DAYS: "4" })).toBe(4);
    await expect.poll(() => details(29), { timeout: 20_000 }).toBe(0);
    const last = await startInstance(subject, database, { network });
    expect(await last.job(id)).toMatchObject({ status: "completed", total_repos: 4, total_records: 354 });
  });
});
