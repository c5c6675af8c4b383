import { describe, expect, onTestFinished, test } from "vitest";
import { definePlugin } from "../../../core/plugin.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
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
  worldOf,
  type Instance,
} from "./_bench.ts";

const rev = "3mmmmmmmmmm22";

/** Two accounts with their history in the archive, in blocks of ten. */
async function archived(): Promise<Network> {
  const network = await createNetwork({ seed: 23 });
  onTestFinished(network.close);
  network.jetstreamV2.rowsPerBlock = 10;
  for (const count of [30, 20]) await fill(await network.createAccount(), status, count);
  network.jetstreamV2.seal();
  return network;
}

/** Adds a create to the archive that no repo has. */
function publish(network: Network, { did }: { did: string }, rkey: string, record: object): void {
  const commit = {
    operation: "create",
    collection: status,
    rkey,
    rev,
    record: { ...record },
    cid: "",
  } as const;
  network.jetstreamV2.publish({ did, time_us: network.clock.micros(), kind: "commit", commit });
  network.jetstreamV2.seal();
}

const nested = (depth: number): object => (depth === 0 ? {} : { in: nested(depth - 1) });

const nsid = (method: string): string => `network.bsky.jetstream.${method}`;

const hasWorld = async (instance: Instance, network: Network): Promise<void> =>
  expect(differences(await tableOf(instance), worldOf(network))).toEqual([]);

describe.each(databases())("a backfill out of an archive with troubles on $name", (subject) => {
  const open = (network: Network, options: Partial<Parameters<typeof start>[1]> = {}): Promise<Instance> =>
    start(subject, { network, backfill: { archive: { url: network.jetstreamV2.url } }, ...options });

  test("says whose events it could not take in, and their hosts are asked on demand", async () => {
    const network = await archived();
    const [alice, anna] = network.accounts;
    if (!alice || !anna) throw new Error("there are two accounts");
    publish(network, alice, "deep", nested(1000));
    publish(network, anna, "no key", {});
    publish(network, { did: "nobody" }, "deep", nested(1000));
    const instance = await open(network);
    const job = await instance.finish({ collection: status });
    expect(job).toMatchObject({
      complete: false,
      total_repos: 2,
      failed_repos: 2,
      total_records: 51,
      error_counts: { invalid_response: 2 },
      plan: { method: "archive" },
    });
    const { body } = await instance.ask<{ errors: unknown[] }>(`GET /backfill/${job.id}/errors`);
    expect(body.errors).toHaveLength(2);
    expect(body.errors).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ did: alice.did, message: expect.stringContaining("cannot be read") }),
        expect.objectContaining({ did: anna.did, message: expect.stringContaining("1 events of it") }),
      ]),
    );
    await hasWorld(instance, network);
    await instance.ask(`POST /backfill/${job.id}/retry-failed`);
    expect(await instance.reaches(job.id, "completed")).toMatchObject({
      complete: true,
      failed_repos: 0,
      total_records: 50,
      plan: { method: "listRecords", why: expect.stringContaining("one collection") },
    });
    await hasWorld(instance, network);
  });

  test.each<[string, RegExp, (network: Network) => () => void]>([
    [
      "is not let in",
      /401/,
      ({ jetstreamV2 }) => {
        jetstreamV2.archiveKey = "secret";
        return () => (jetstreamV2.archiveKey = undefined);
      },
    ],
    [
      "finds a block damaged",
      /block 2 /,
      ({ faults }) => {
        faults.add({ method: nsid("getBlock"), latencyMs: 0, times: 2 }); // two blocks are in order
        return faults.add({ method: nsid("getBlock"), damageAt: 20 });
      },
    ],
    [
      "is led nowhere",
      /does not go beyond seq 0/,
      ({ faults }) =>
        faults.add({
          method: nsid("planSnapshot"),
          lie: (truth) => {
            const body = JSON.parse(String(truth.body)) as object;
            return { ...truth, body: JSON.stringify({ ...body, segments: [], plannedThroughSeq: 0 }) };
          },
        }),
    ],
  ])("ends when it %s, and goes on there when it is asked to", async (_, reason, harm) => {
    const network = await archived();
    network.jetstreamV2.plan.wholeSegmentShare = 2; // block by block
    const repair = harm(network);
    const instance = await open(network);
    const job = await instance.finish({ collection: status });
    expect(job).toMatchObject({ complete: false, error: expect.stringMatching(reason) });
    repair();
    await instance.ask(`POST /backfill/${job.id}/retry-failed`);
    expect(await instance.reaches(job.id, "completed")).toMatchObject({ complete: true, total_records: 50 });
    await hasWorld(instance, network);
  });

  test("pauses at once though a script takes long", async () => {
    const network = await archived();
    const gate = Promise.withResolvers<void>();
    let isWaiting = false;
    const waiting = definePlugin({
      name: "waiting",
      setup: (app) =>
        app.records.pipeline.intercept({
          wants: (_, collection) => collection === status,
          async handle({ rkey }) {
            if (rkey !== "r015") return;
            isWaiting = true;
            await gate.promise;
          },
        }),
    });
    const instance = await open(network, { plugins: [waiting()] });
    const id = await instance.create({ collection: status });
    await eventually(() => expect(isWaiting).toBe(true));
    await instance.ask(`POST /backfill/${id}/pause`);
    await instance.reaches(id, "paused");
    gate.resolve();
    await instance.ask(`POST /backfill/${id}/resume`);
    expect(await instance.reaches(id, "completed")).toMatchObject({ complete: true });
    await hasWorld(instance, network);
  });

  test("leaves single accounts to their hosts, though an archive is asked for", async () => {
    const network = await archived();
    const instance = await open(network);
    const did = network.accounts[0]?.did;
    expect(await instance.finish({ did, collection: status, method: "archive" })).toMatchObject({
      complete: true,
      total_repos: 1,
      plan: { method: "listRecords", why: expect.stringContaining("not for single accounts") },
    });
  });

  test("leaves a job to its hosts that had begun before there was an archive", async () => {
    const network = await archived();
    const gate = Promise.withResolvers<void>();
    network.faults.add({ service: "pds", lie: (truth) => gate.promise.then(() => truth) });
    const database = await openDatabase(subject);
    const before = await startInstance(subject, database, { network });
    const id = await before.create({ collection: status });
    await eventually(async () => expect((await before.job(id)).total_repos).toBe(2));
    await before.stop();
    gate.resolve();
    const backfill = { archive: { url: network.jetstreamV2.url } };
    const instance = await startInstance(subject, database, { network, backfill });
    expect(await instance.reaches(id, "completed")).toMatchObject({
      complete: true,
      total_records: 50,
      plan: { method: "listRecords" },
    });
  });

  test("is counted now and then, not with each block", async () => {
    const network = await archived();
    network.jetstreamV2.rowsPerBlock = 2;
    await fill(network.accounts[0], status, 200, "s");
    network.jetstreamV2.seal();
    const instance = await open(network);
    const statements: string[] = [];
    const { db } = instance.app;
    const run = db.all.bind(db);
    db.all = (sql, params) => {
      statements.push(sql);
      return run(sql, params);
    };
    await instance.finish({ collection: status });
    const counts = statements.filter((sql) => sql.includes("GROUP BY error_kind"));
    expect(counts.length).toBeGreaterThan(0);
    expect(counts.length).toBeLessThan(50);
    await hasWorld(instance, network);
  });

  test("takes away what a reset of a repo has left behind", async () => {
    const network = await archived();
    const [account] = network.accounts;
    if (!account) throw new Error("there is an account");
    const kept = ["r003", "r004"];
    network.jetstreamV2.resync(
      { did: account.did, rev, timeUs: network.clock.micros() },
      kept.map((rkey) => ({ collection: status, rkey, record: { $type: status, text: "kept" } })),
    );
    network.jetstreamV2.seal();
    const instance = await open(network);
    expect(await instance.finish({ collection: status })).toMatchObject({ complete: true });
    const left = Object.keys(await tableOf(instance)).filter((uri) => uri.includes(account.did));
    expect(left.toSorted()).toEqual(kept.map((rkey) => `at://${account.did}/${status}/${rkey}`));
  });
});
