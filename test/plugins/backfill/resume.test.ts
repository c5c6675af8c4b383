import { describe, expect, onTestFinished, test } from "vitest";
import { definePlugin } from "../../../core/plugin.ts";
import type { FaultRule } from "../../../playground/network/faults.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { createPrng } from "../../../playground/network/prng.ts";
import { startServer, type Server } from "../../core/convergence/_process.ts";
import { differences } from "../../core/convergence/_stream.ts";
import { databases } from "../../setup/databases.ts";
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
  type Instance,
  type SeenRequest,
} from "./_bench.ts";
import type { Task } from "./_server.ts";
import { program } from "./_ways.ts";

const collections = [status, note];
const listRecords = "com.atproto.repo.listRecords";
const listRepos = "com.atproto.sync.listReposByCollection";

/** One account with many pages, and some with few. */
async function populated(...counts: number[]): Promise<{ network: Network; seen: SeenRequest[] }> {
  const network = await createNetwork({ seed: 13, hosts: 2 });
  onTestFinished(network.close);
  for (const count of counts) {
    const account = await network.createAccount();
    await fill(account, status, count);
    await fill(account, note, 2, "n");
  }
  return { network, seen: watchRequests(network) };
}

const pagesIn = (seen: readonly SeenRequest[]): string[] =>
  seen
    .filter(({ method }) => method === "listRecords")
    .map(({ params }) => `${params.get("repo")} ${params.get("collection")} ${params.get("cursor")}`);

/** Pages that were asked for more than once, by account. */
function repeated(seen: readonly SeenRequest[]): Map<string, number> {
  const known = new Set<string>();
  const again = new Map<string, number>();
  for (const page of pagesIn(seen)) {
    const [did = ""] = page.split(" ");
    if (known.has(page)) again.set(did, (again.get(did) ?? 0) + 1);
    known.add(page);
  }
  return again;
}

const jobEvents = ({ events }: Instance): string[] =>
  events.map(({ type }) => type).filter((type) => type.startsWith("backfill."));

/** A second is what is promised; a machine that is busy gets more. */
const isPausedSoon = (instance: Instance, id: string): Promise<void> =>
  eventually(async () => expect((await instance.job(id)).status).toBe("paused"), 5000);

const patience: FaultRule = { service: "pds", method: listRecords, latencyMs: 15 };

describe.each(databases())("a backfill on $name that is interrupted", (subject) => {
  test("by a pause asks for no finished page again when it resumes", async () => {
    const { network, seen } = await populated(700, 150);
    network.faults.add(patience);
    const instance = await start(subject, { network, collections });
    const id = await instance.create({});
    await eventually(() => expect(pagesIn(seen).length).toBeGreaterThan(5));
    expect(await instance.ask(`POST /backfill/${id}/pause`)).toEqual({
      status: 200,
      body: { id, status: "pausing" },
    });
    const paused = await instance.reaches(id, "paused");
    expect(paused).toMatchObject({ completed_at: null, error: null, complete: null });
    expect(paused.total_records).toBeGreaterThan(0);
    expect(await instance.ask(`POST /backfill/${id}/pause`)).toEqual({
      status: 200,
      body: { id, status: "paused" },
    });
    const before = pagesIn(seen).length;
    expect(await instance.ask(`POST /backfill/${id}/resume`)).toEqual({
      status: 200,
      body: { id, status: "running" },
    });
    expect(await instance.reaches(id, "completed")).toMatchObject({
      total_records: 854,
      total_repos: 2,
      complete: true,
    });
    expect(pagesIn(seen).length).toBeGreaterThan(before);
    expect(differences(await tableOf(instance), worldOf(network, collections))).toEqual([]);
    // What was under way at the pause is asked for once more, nothing else.
    for (const count of repeated(seen).values()) expect(count).toBe(1);
    await eventually(() =>
      expect(jobEvents(instance)).toEqual([
        "backfill.started",
        "backfill.pausing",
        "backfill.resumed",
        "backfill.completed",
      ]),
    );
  });

  test.each([
    ["a page of a host", { service: "pds", method: listRecords }],
    ["a DID", { service: "plc" }],
    ["a page of the relay", { service: "relay" }],
  ] as const)("pauses at once though %s takes long", async (_, rule) => {
    const { network, seen } = await populated(150, 3);
    const instance = await start(subject, {
      network,
      collections,
      backfill: { pageTimeoutMs: 60_000, leaseMs: 60_000 },
    });
    network.faults.add({ ...rule, latencyMs: 50_000 });
    const id = await instance.create({});
    await eventually(() =>
      expect(
        seen.some(
          (request) =>
            request.service === rule.service && (rule.service !== "pds" || request.method === "listRecords"),
        ),
      ).toBe(true),
    );
    await instance.ask(`POST /backfill/${id}/pause`);
    await isPausedSoon(instance, id);
    if (rule.service === "plc") return; // the next look-up of that DID waits for the answer to this one
    network.faults.clear();
    await instance.ask(`POST /backfill/${id}/resume`);
    expect(await instance.reaches(id, "completed")).toMatchObject({ total_records: 157, complete: true });
  });

  test("pauses at once though a script takes long", async () => {
    const { network } = await populated(3);
    let isWaiting = false;
    const waiting = definePlugin({
      name: "waiting",
      setup: (app) =>
        app.records.pipeline.intercept({
          wants: (_, collection) => collection === status,
          async handle(event, signal) {
            if (event.rkey !== "r001" || isWaiting) return;
            isWaiting = true;
            await new Promise((_, reject) =>
              signal.addEventListener("abort", () => reject(signal.reason as Error)),
            );
          },
        }),
    });
    const database = await openDatabase(subject);
    const instance = await startInstance(subject, database, { network, collections, plugins: [waiting()] });
    const id = await instance.create({});
    await eventually(() => expect(isWaiting).toBe(true));
    await instance.ask(`POST /backfill/${id}/pause`);
    await isPausedSoon(instance, id);
    await instance.stop();
    const next = await startInstance(subject, database, { network, collections });
    await next.ask(`POST /backfill/${id}/resume`);
    expect(await next.reaches(id, "completed")).toMatchObject({ total_records: 5, complete: true });
    expect(differences(await tableOf(next), worldOf(network, collections))).toEqual([]);
  });

  test("in its discovery goes on at the relay's cursor, at once", async () => {
    const { network, seen } = await populated(1, 1, 1, 1, 1, 1);
    const pages = (): string[] =>
      seen
        .filter(({ method }) => method === "listReposByCollection")
        .map(({ params }) => params.get("cursor") ?? "");
    network.faults.add({
      method: listRepos,
      async lie(truth, { params }) {
        // Pages of one; the third comes late.
        const { repos } = JSON.parse(String(truth.body)) as { repos: { did: string }[] };
        const page = repos.slice(0, 1);
        if (network.accounts.findIndex(({ did }) => did === params.get("cursor")) === 1) await late;
        return {
          ...truth,
          body: JSON.stringify({ repos: page, cursor: repos.length > 1 ? page[0]?.did : undefined }),
        };
      },
    });
    let go = (): void => {};
    const late = new Promise<void>((done) => (go = done));
    const instance = await start(subject, { network, backfill: { leaseMs: 60_000 } });
    const id = await instance.create({ collection: status });
    await eventually(() => expect(pages()).toHaveLength(3));
    await instance.ask(`POST /backfill/${id}/pause`);
    await instance.reaches(id, "paused");
    go();
    await instance.ask(`POST /backfill/${id}/resume`);
    expect(await instance.reaches(id, "completed")).toMatchObject({ total_repos: 6, complete: true });
    const dids = network.accounts.map(({ did }) => did);
    expect(pages()).toEqual(["", dids[0], dids[1], dids[1], dids[2], dids[3], dids[4]]);
  });

  test("by a cancel ends, and does not come back", async () => {
    const { network, seen } = await populated(700, 3);
    network.faults.add(patience);
    const instance = await start(subject, { network, collections });
    const id = await instance.create({ collection: status });
    await eventually(() => expect(pagesIn(seen).length).toBeGreaterThan(3));
    expect(await instance.ask(`POST /backfill/${id}/cancel`)).toEqual({
      status: 200,
      body: { id, status: "cancelling" },
    });
    expect((await instance.ask<{ status: string }>(`POST /backfill/${id}/cancel`)).body.status).toMatch(
      /cancell/,
    );
    const job = await instance.reaches(id, "cancelled");
    expect(job).toMatchObject({
      error: "cancelled by user",
      completed_at: expect.any(String),
      stage: expect.not.stringMatching("completed"),
    });
    await eventually(() => expect(jobEvents(instance)).toContain("backfill.cancelled"));
    const asked = seen.length;
    expect(await instance.ask(`POST /backfill/${id}/resume`)).toMatchObject({
      status: 400,
      body: { error: "job is not paused (status: cancelled)" },
    });
    expect(await instance.ask(`POST /backfill/${id}/retry-failed`)).toMatchObject({ status: 400 });
    // Another job runs from its start to its end, and nothing of the first one happens meanwhile.
    await instance.finish({ did: network.accounts[0]?.did, collection: note });
    expect(pagesIn(seen.slice(asked)).every((page) => page.includes(note))).toBe(true);
    await eventually(() =>
      expect(jobEvents(instance)).toEqual([
        "backfill.started",
        "backfill.cancelling",
        "backfill.cancelled",
        "backfill.started",
        "backfill.completed",
      ]),
    );
  });

  test("by a cancel while it is paused ends at once", async () => {
    const { network, seen } = await populated(500);
    network.faults.add(patience);
    const instance = await start(subject, { network, collections });
    const id = await instance.create({});
    await eventually(() => expect(pagesIn(seen).length).toBeGreaterThan(1));
    await instance.ask(`POST /backfill/${id}/pause`);
    await instance.reaches(id, "paused");
    expect(await instance.ask(`POST /backfill/${id}/cancel`)).toEqual({
      status: 200,
      body: { id, status: "cancelled" },
    });
    expect(await instance.job(id)).toMatchObject({
      status: "cancelled",
      error: "cancelled by user",
      completed_at: expect.any(String),
    });
    expect(instance.events.at(-1)).toMatchObject({ type: "backfill.cancelled" });
  });

  test.each(["pause", "cancel"])(
    "by a %s that nobody could make true is put to rest at the next start",
    async (act) => {
      const { network } = await populated(3);
      const database = await openDatabase(subject);
      const first = await startInstance(subject, database, { network, collections, background: false });
      const id = await first.create({});
      await first.ask(`POST /backfill/${id}/${act}`);
      await first.stop();
      const next = await startInstance(subject, database, { network, collections });
      await next.reaches(id, act === "pause" ? "paused" : "cancelled");
    },
  );

  test("by a restart goes on where it was, at once", async () => {
    const { network, seen } = await populated(700, 150);
    network.faults.add(patience);
    const database = await openDatabase(subject);
    const backfill = { leaseMs: 60_000 };
    const first = await startInstance(subject, database, { network, collections, backfill });
    const id = await first.create({});
    await eventually(() => expect(pagesIn(seen).length).toBeGreaterThan(5));
    await first.stop();
    const next = await startInstance(subject, database, { network, collections, backfill });
    expect(await next.reaches(id, "completed")).toMatchObject({ total_records: 854, complete: true });
    expect(differences(await tableOf(next), worldOf(network, collections))).toEqual([]);
    for (const count of repeated(seen).values()) expect(count).toBe(1);
  });

  test("by kills at any moment ends with everything", async () => {
    // One process works on three jobs, each on a database and a network of its own.
    const jobs = await Promise.all(
      [1, 2, 3].map(async (seed) => {
        const { network, seen } = await populated(seed * 200, 150, 5);
        network.faults.add({ ...patience, latencyMs: { min: 0, max: 40 } });
        const database = await openDatabase(subject);
        const starter = await startInstance(subject, database, { network, collections, background: false });
        return { network, seen, database, starter, id: await starter.create({}) };
      }),
    );
    const tasks = jobs.map(({ database: { url }, network: { plcUrl, relayUrl } }): Task => {
      return { databaseUrl: url, plcUrl, relayUrl, collections };
    });
    const requests = (): number => jobs.reduce((sum, { seen }) => sum + seen.length, 0);
    const prng = createPrng(`${subject.name}/kills`);
    let child: Server | undefined;
    onTestFinished(() => void child?.kill("SIGKILL"));
    for (let kill = 0; kill < 2; kill++) {
      const moment = requests() + 8 + prng.int(16);
      child = startServer({ TASKS: JSON.stringify(tasks) }, program);
      await child.until(async () => requests() >= moment);
      await child.kill("SIGKILL");
    }
    for (const { network, database, starter, id } of jobs) {
      expect(await starter.job(id)).toMatchObject({ status: "running" });
      const last = await startInstance(subject, database, { network, collections });
      const total = Object.keys(worldOf(network, collections)).length;
      expect(await last.reaches(id, "completed")).toMatchObject({
        total_repos: 3,
        total_records: total,
        complete: true,
      });
      expect(differences(await tableOf(last), worldOf(network, collections))).toEqual([]);
    }
  });

  test("by nothing is shared by two processes, which do nothing twice", async () => {
    const { network, seen } = await populated(...Array.from({ length: 60 }, () => 21));
    const gate = Promise.withResolvers<void>();
    network.faults.add({ ...patience, latencyMs: 0, lie: (truth) => gate.promise.then(() => truth) });
    const database = await openDatabase(subject);
    const written = [0, 0];
    const counting = [0, 1].map((i) =>
      definePlugin({
        name: "counting",
        setup: (app) =>
          void app.hook("record:after", (changes) => void (written[i] = (written[i] ?? 0) + changes.length)),
      })(),
    );
    const [first, second] = await Promise.all(
      counting.map((plugin) =>
        startInstance(subject, database, { network, plugins: [plugin], backfill: { leaseMs: 20_000 } }),
      ),
    );
    const id = (await first?.create({})) ?? "";
    // Nothing is answered before both have taken some in hand.
    await eventually(async () => {
      const row = await first?.app.db.get(
        "SELECT count(DISTINCT claimed_by) AS n FROM happyview_backfill_repos",
      );
      expect(row).toEqual({ n: 2 });
    });
    gate.resolve();
    expect(await second?.reaches(id, "completed")).toMatchObject({
      total_repos: 60,
      processed_repos: 60,
      total_records: 1260,
      stage: "completed",
      complete: true,
    });
    expect(await first?.reaches(id, "completed")).toMatchObject({ total_records: 1260 });
    expect(written[0]).toBeGreaterThan(0);
    expect(written[1]).toBeGreaterThan(0);
    expect((written[0] ?? 0) + (written[1] ?? 0)).toBe(1260);
    expect(repeated(seen).size).toBe(0);
    const ends = (): string[] =>
      [first, second]
        .flatMap((instance) => (instance ? jobEvents(instance) : []))
        .filter((type) => type === "backfill.completed");
    await eventually(() => expect(ends()).toHaveLength(1));
  });
});
