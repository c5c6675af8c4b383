import { onTestFinished, vi } from "vitest";
import type { Config } from "../../../core/config/resolve.ts";
import type { LogEvent } from "../../../core/events.ts";
import { definePlugin, type Plugin } from "../../../core/index.ts";
import type { Account, Write } from "../../../playground/network/account.ts";
import type { Network } from "../../../playground/network/network.ts";
import { backfill, type BackfillOptions } from "../../../plugins/backfill/index.ts";
import type { JobView } from "../../../plugins/backfill/job.ts";
import { adminHeaders, limitedCaller, startApp, type TestApp } from "../../setup/app.ts";
import type { DatabaseSubject, TestDatabase } from "../../setup/databases.ts";
import { jsonBody } from "../../suites/http/subject.ts";
import { fewConnections, lexiconFiles, quick, status } from "./_shared.ts";

export { note, status } from "./_shared.ts";

export interface InstanceOptions {
  network: Pick<Network, "plcUrl" | "relayUrl">;
  /** @default status alone */
  collections?: readonly string[];
  backfill?: BackfillOptions;
  plugins?: Plugin[];
  env?: Record<string, string>;
  server?: Partial<Config["server"]>;
  /** @default true */
  background?: boolean;
  now?: () => number;
}

export interface Instance extends TestApp {
  events: LogEvent[];
  /** Asks the admin API; the body of the answer, or undefined. */
  ask<T = unknown>(request: string, body?: unknown): Promise<{ status: number; body: T }>;
  /** Starts a job and returns its id. */
  create(request: Record<string, unknown>): Promise<string>;
  job(id: string): Promise<JobView>;
  /** The job, when it has one of these statuses. @throws otherwise */
  reachesNow(id: string, ...statuses: string[]): Promise<JobView>;
  /** Waits until the job has one of these statuses. */
  reaches(id: string, ...statuses: string[]): Promise<JobView>;
  /** A job from its start to its end. */
  finish(request: Record<string, unknown>): Promise<JobView>;
}

export const eventually = <T>(check: () => T | Promise<T>, timeout = 20_000): Promise<T> =>
  vi.waitFor(check, { timeout, interval: 10 });

/** A database that ends with the test, whatever was started on it. */
export async function openDatabase(subject: DatabaseSubject): Promise<TestDatabase> {
  const database = await subject.open();
  onTestFinished(database.drop);
  return database;
}

/** An app on a database that may be shared; it closes with the test at the latest. */
export async function startInstance(
  subject: DatabaseSubject,
  database: TestDatabase,
  options: InstanceOptions,
): Promise<Instance> {
  const instance = await openInstance(subject, database, options);
  onTestFinished(instance.stop);
  return instance;
}

/** The same; whoever opens it closes it. */
export async function openInstance(
  subject: DatabaseSubject,
  { url }: TestDatabase,
  options: InstanceOptions,
): Promise<Instance> {
  const { network, collections = [status], plugins = [], env = {}, server, background = true, now } = options;
  const events: LogEvent[] = [];
  const observer = definePlugin({
    name: "observer",
    setup: (app) => void app.hook("event", (event) => void events.push(event)),
  });
  const { plcUrl, relayUrl } = network;
  const test = await startApp(
    { name: subject.name, open: async () => ({ url, drop: async () => {} }) },
    {
      plugins: [observer(), limitedCaller(), ...plugins, backfill({ ...quick, ...options.backfill })],
      network: { plcUrl, relayUrl },
      ...(server ? { server } : {}),
    },
    {
      env: { ...fewConnections, ...env },
      files: { lexicons: lexiconFiles(collections) },
      background,
      ...(now ? { now } : {}),
    },
  );
  const ask: Instance["ask"] = async <T>(request: string, body?: unknown) => {
    const [method = "GET", path = ""] = request.split(" ");
    const init =
      body === undefined ? { method, headers: adminHeaders } : jsonBody(method, body, adminHeaders);
    const response = await test.request(`/admin${path}`, init);
    const text = await response.text();
    return {
      status: response.status,
      body: (text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : text) as T,
    };
  };
  const job = async (id: string): Promise<JobView> => (await ask<JobView>(`GET /backfill/${id}`)).body;
  const create = async (request: Record<string, unknown>): Promise<string> => {
    const answer = await ask<{ id: string }>("POST /backfill", request);
    if (answer.status !== 201) throw new Error(`${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer.body.id;
  };
  const reachesNow = async (id: string, ...statuses: string[]): Promise<JobView> => {
    const now = await job(id);
    if (!statuses.includes(now.status)) throw new Error(`the job is ${JSON.stringify(now)}`);
    return now;
  };
  const reaches = (id: string, ...statuses: string[]): Promise<JobView> =>
    eventually(() => reachesNow(id, ...statuses));
  const finish = async (request: Record<string, unknown>): Promise<JobView> =>
    reaches(await create(request), "completed", "failed");
  return { ...test, events, ask, job, create, reachesNow, reaches, finish };
}

/** A whole instance with a database of its own. */
export async function start(subject: DatabaseSubject, options: InstanceOptions): Promise<Instance> {
  return startInstance(subject, await openDatabase(subject), options);
}

/** Writes records `<prefix>0`, `<prefix>1`, … in one commit. */
export async function fill(
  account: Account | undefined,
  collection: string,
  count: number,
  prefix = "r",
): Promise<void> {
  const writes = Array.from({ length: count }, (_, i): Write => {
    const rkey = `${prefix}${String(i).padStart(3, "0")}`;
    return {
      action: "create",
      collection,
      rkey,
      record: { text: `${prefix} ${i}`, createdAt: "2026-01-01T00:00:00Z" },
    };
  });
  await account?.applyWrites(writes);
}

/** What the repos of the network hold, in the form of `tableOf`. */
export function worldOf(network: Network, collections: readonly string[] = [status]): Record<string, string> {
  const table: Record<string, string> = {};
  for (const { did, repo, status } of network.accounts)
    for (const collection of repo && status === "active" ? collections : [])
      for (const rkey of repo?.records.keys(collection, { limit: 100_000, reverse: false }) ?? []) {
        const record = repo?.records.get(collection, rkey);
        if (record)
          table[`at://${did}/${collection}/${rkey}`] = `${record.cid.toString()} ${canonical(record.value)}`;
      }
  return table;
}

export async function tableOf({ app }: Pick<TestApp, "app">): Promise<Record<string, string>> {
  const rows = await app.db.all<{ uri: string; cid: string; record: string }>(
    "SELECT uri, cid, record FROM happyview_records",
  );
  return Object.fromEntries(
    rows.map(({ uri, cid, record }) => [
      uri,
      `${cid} ${canonical(JSON.parse(record) as Record<string, unknown>)}`,
    ]),
  );
}

function canonical(record: Record<string, unknown>): string {
  return JSON.stringify(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

export interface SeenRequest {
  service: string;
  /** The last part of the method's NSID. */
  method: string;
  did: string;
  params: URLSearchParams;
}

/** A list that grows with each request to a service of the network. */
export function watchRequests(network: Network): SeenRequest[] {
  const seen: SeenRequest[] = [];
  network.faults.watch(
    ({ service, method, did, params }) =>
      void seen.push({ service, method: method.split(".").at(-1) ?? "", did, params }),
  );
  return seen;
}
