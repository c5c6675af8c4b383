import { describe, expect, onTestFinished, test } from "vitest";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { adminHeaders } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import {
  eventually,
  fill,
  openDatabase,
  start,
  startInstance,
  status,
  watchRequests,
  type Instance,
} from "./_bench.ts";

type Told = { type: string; job_id: string; [field: string]: unknown };

interface Watched {
  told: Told[];
  /** Resolves when the server ends the stream. */
  ended: Promise<void>;
  leave(): Promise<void>;
}

async function watch(instance: Instance, id: string): Promise<Watched> {
  const response = await instance.request(`/admin/backfill/${id}/events`, { headers: adminHeaders });
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  const reader = (response.body as ReadableStream<Uint8Array>).getReader(); // of a 200
  const told: Told[] = [];
  const decoder = new TextDecoder();
  const read = async (): Promise<void> => {
    for (let text = ""; ;) {
      const { done, value } = await reader.read();
      if (done) return expect(text).toBe("");
      text += decoder.decode(value);
      for (let at = text.indexOf("\n\n"); at >= 0; at = text.indexOf("\n\n")) {
        const [event, data = ""] = text.slice(0, at).split("\n");
        text = text.slice(at + 2);
        expect(event).toBe("event: event");
        told.push(JSON.parse(data.slice("data: ".length)) as Told);
      }
    }
  };
  return { told, ended: read(), leave: () => reader.cancel() };
}

async function networkOf(...counts: number[]): Promise<Network> {
  const network = await createNetwork({ seed: 14 });
  onTestFinished(network.close);
  for (const count of counts) await fill(await network.createAccount(), status, count);
  return network;
}

const slow = { service: "pds", method: "com.atproto.repo.listRecords", latencyMs: 20 } as const;

describe.each(databases())("the event stream of a job on $name", (subject) => {
  test("begins with a snapshot, tells what happens, and ends with the job", async () => {
    const network = await networkOf(120, 3);
    const gone = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
    network.faults.add(slow);
    network.faults.add({ service: "plc", latencyMs: 200 });
    const instance = await start(subject, { network });
    const id = await instance.create({
      collection: status,
      dids: [...network.accounts.map(({ did }) => did), gone],
    });
    const { told, ended } = await watch(instance, id);
    await ended;
    expect(told.every(({ job_id }) => job_id === id)).toBe(true);
    expect(told[0]).toMatchObject({ type: "job_snapshot", job: { id, status: "running", total_records: 0 } });
    expect(told.at(-1)).toEqual({ type: "job_completed", job_id: id, status: "completed", error: null });
    expect(told.at(-2)).toEqual({
      type: "job_counters",
      job_id: id,
      total_repos: 3,
      resolved_repos: 2,
      processed_repos: 3,
      failed_repos: 1,
      total_records: 123,
    });
    const [alice, bob] = network.accounts;
    const pds_endpoint = network.pds[0]?.url;
    for (const [account, records_fetched] of [
      [alice, alice?.repo?.records.keys(status, { limit: 500, reverse: false }).length],
      [bob, bob?.repo?.records.keys(status, { limit: 500, reverse: false }).length],
    ] as const) {
      expect(told).toContainEqual({ type: "repo_resolved", job_id: id, did: account?.did, pds_endpoint });
      expect(told).toContainEqual({
        type: "repo_fetched",
        job_id: id,
        did: account?.did,
        pds_endpoint,
        records_fetched,
      });
    }
    expect(told).toContainEqual(
      expect.objectContaining({
        type: "repo_failed",
        did: gone,
        kind: "did_doc_not_found",
        will_retry: false,
      }),
    );
    expect(told).toContainEqual({ type: "job_stage_changed", job_id: id, stage: "resolving_and_fetching" });
  });

  test("of a job that is over is a snapshot and the end", async () => {
    const network = await networkOf(3);
    const instance = await start(subject, { network });
    const { id } = await instance.finish({});
    const { told, ended } = await watch(instance, id);
    await ended;
    expect(told).toEqual([
      { type: "job_snapshot", job_id: id, job: await instance.job(id) },
      { type: "job_completed", job_id: id, status: "completed", error: null },
    ]);
  });

  test("ends when the job is paused", async () => {
    const network = await networkOf(400);
    network.faults.add(slow);
    const seen = watchRequests(network);
    const instance = await start(subject, { network });
    const id = await instance.create({});
    const { told, ended } = await watch(instance, id);
    await eventually(() => expect(seen.length).toBeGreaterThan(4));
    await instance.ask(`POST /backfill/${id}/pause`);
    await ended;
    expect(told.at(-1)).toMatchObject({ type: "job_completed", status: "paused" });
    expect(await instance.job(id)).toMatchObject({ status: "paused" });
  });

  test("tells of a job that runs in another process", async () => {
    const network = await networkOf(250);
    network.faults.add({ ...slow, latencyMs: 300 });
    const database = await openDatabase(subject);
    const here = await startInstance(subject, database, { network, background: false });
    const id = await here.create({});
    const { told, ended } = await watch(here, id);
    await startInstance(subject, database, { network });
    await ended;
    expect(told.map(({ type }) => type)).toEqual(
      expect.arrayContaining(["job_snapshot", "job_stage_changed", "job_counters", "job_completed"]),
    );
    expect(told[0]).toMatchObject({ type: "job_snapshot", job: { stage: "pending" } });
    expect(told.at(-1)).toMatchObject({ type: "job_completed", status: "completed" });
    expect(told.findLast(({ type }) => type === "job_counters")).toMatchObject({
      processed_repos: 1,
      total_records: 250,
    });
  });

  test("may be left by its reader", async () => {
    const network = await networkOf(300);
    network.faults.add(slow);
    const instance = await start(subject, { network });
    const id = await instance.create({});
    const { told, leave, ended } = await watch(instance, id);
    await eventually(() => expect(told.length).toBeGreaterThan(0));
    await leave();
    await ended;
    await instance.reaches(id, "completed");
    expect(told.at(-1)).not.toMatchObject({ type: "job_completed" });
  });
});
