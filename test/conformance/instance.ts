import { readFileSync } from "node:fs";
import { computeCid } from "../../core/records/verify.ts";
import { rev } from "../core/records/_pipeline.ts";
import type { Driver, Label, Row, StoredLabel } from "../fixture/built-lua/driver.ts";
import type { PdsCall, PdsReply } from "../fixture/built-lua/fake-pds.ts";
import { corpusPlugins, type CorpusEngine } from "../fixture/built-lua/plugins.ts";
import { adminHeaders, startApp } from "../setup/app.ts";
import type { DatabaseSubject } from "../setup/databases.ts";
import { jsonBody } from "../suites/http/subject.ts";
import { startEchoServer } from "./echo-server.ts";

/** Something that runs HappyView scripts. Another implementation takes part by filling this in. */
export interface Instance {
  /** No scripts, records, labels, jobs, dead letters and log lines; of the variables only HTTP, the echo server. */
  reset(): Promise<void>;
  saveScript(trigger: string, body: string): Promise<{ status: number; error: string }>;
  setVariable(key: string, value: string): Promise<void>;
  /** Stores records one after another without any script, so that the last is the newest. */
  seed(rows: readonly Row[]): Promise<void>;
  addLabels(labels: readonly StoredLabel[]): Promise<void>;
  xrpc(call: XrpcRequest): Promise<{ status: number; text: string }>;
  ingest(event: RecordEvent): Promise<void>;
  applyLabel(label: Label): Promise<Label | undefined>;
  runJob(type: string, input: unknown, caller: string): Promise<FinishedJob>;
  rows(): Promise<Row[]>;
  /** The errors of dead letters, oldest first. */
  deadLetters(): Promise<string[]>;
  /** What the PDS of callers will answer; without replies they have no session. */
  expectPds(replies: readonly PdsReply[] | undefined): Promise<void>;
  pdsCalls(): Promise<readonly PdsCall[]>;
  /** What scripts gave to log(). */
  logs(): Promise<string[]>;
  stop(): Promise<void>;
}

export interface XrpcRequest {
  method: "GET" | "POST";
  nsid: string;
  query: string;
  /** JSON, sent as it is. */
  input?: string;
  caller?: string | undefined;
}

export interface RecordEvent {
  action: "create" | "update" | "delete";
  did: string;
  collection: string;
  rkey: string;
  record?: Record<string, unknown> | undefined;
}

export interface FinishedJob {
  status: string;
  result: unknown;
  error: string | null;
}

/** A HappyView with the plugins of test/fixture/built-lua, in this process or behind a URL. */
export interface Host {
  request(path: string, init?: RequestInit): Promise<Response>;
  stop(): Promise<void>;
}

interface World {
  lexicons: { lexicon: unknown; targetCollection?: string }[];
}

const world = JSON.parse(readFileSync(new URL("world.json", import.meta.url), "utf8")) as World; // ours

/** What a host needs to let scripts reach the echo server, and the key with which they sign. */
export const hostEnv: Readonly<Record<string, string>> = {
  SCRIPT_HTTP_ALLOW: "127.0.0.1",
  ATTESTATION_PRIVATE_KEY: "01".repeat(32),
  ATTESTATION_KEY_ID: "did:web:happyview.example#attestation",
  ATTESTATION_SIG_TYPE: "org.example.attestation",
};

/** An instance in this process. */
export async function startInstance(database: DatabaseSubject, engine: CorpusEngine): Promise<Instance> {
  const plugins = corpusPlugins(engine);
  return createInstance(await startApp(database, { plugins }, { env: hostEnv }));
}

/** Drives a host by its admin API, by XRPC, and by the driver for what no client may do. */
export async function createInstance({ request, stop }: Host): Promise<Instance> {
  const echo = await startEchoServer();
  const driver = remoteDriver(request);
  const admin = (method: string, path: string, body?: unknown): Promise<Response> =>
    request(
      `/admin${path}`,
      body === undefined ? { method, headers: adminHeaders } : jsonBody(method, body, adminHeaders),
    );
  const list = async <T>(path: string): Promise<T> => (await ok(admin("GET", path))).json() as T; // our own routes
  for (const { lexicon, targetCollection } of world.lexicons)
    await ok(
      admin("POST", "/lexicons", {
        lexicon_json: lexicon,
        backfill: false,
        ...(targetCollection ? { target_collection: targetCollection } : {}),
      }),
    );
  const setVariable = async (key: string, value: string): Promise<unknown> =>
    ok(admin("POST", "/script-variables", { key, value }));
  await setVariable("HTTP", echo.url);
  /** What a case has left behind, as paths of the admin API. */
  const left = new Set<string>();
  let revision = 0;

  const toCommit = ({ action, record, ...where }: RecordEvent): Parameters<Driver["ingest"]>[0] => {
    const base = { kind: "commit", action, ...where, rev: rev(++revision) } as const;
    return action === "delete" || !record
      ? { ...base, cid: "" }
      : { ...base, record, cid: computeCid(record) ?? "" };
  };

  return {
    async reset() {
      await Promise.all([driver.reset(), ...[...left].map((path) => ok(admin("DELETE", path)))]);
      left.clear();
    },
    async saveScript(id, body) {
      const response = await admin("POST", "/scripts", { id, body });
      if (response.ok) left.add(`/scripts/${encodeURIComponent(id)}`);
      const { error = "" } = (await response.json()) as { error?: string };
      return { status: response.status, error };
    },
    async setVariable(key, value) {
      await setVariable(key, value);
      left.add(`/script-variables/${encodeURIComponent(key)}`);
    },
    async seed(rows) {
      if (rows.length === 0) return;
      const events = rows.map(([did, collection, rkey, record]) =>
        toCommit({ action: "create", did, collection, rkey, record: record as Record<string, unknown> }),
      );
      await driver.ingest(...events);
    },
    async addLabels(labels) {
      if (labels.length > 0) await driver.storeLabels(...labels);
    },
    async xrpc({ method, nsid, query, input, caller }) {
      const headers: Record<string, string> = caller === undefined ? {} : { authorization: `Test ${caller}` };
      const path = `/xrpc/${nsid}${query === "" ? "" : `?${query}`}`;
      const response = await request(
        path,
        method === "GET" ? { headers } : jsonBody("POST", input ?? "{}", headers),
      );
      return { status: response.status, text: await response.text() };
    },
    ingest: (event) => driver.ingest(toCommit(event)),
    applyLabel: async (label) => (await driver.applyLabel(label)) ?? undefined,
    async runJob(type, input, caller) {
      const id = await driver.createJob(type, input, caller);
      for (;;) {
        const job = await list<FinishedJob>(`/jobs/${id}`);
        if (job.status !== "pending" && job.status !== "running") return job;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    rows: driver.rows,
    async deadLetters() {
      const page = await list<{ dead_letters: { error: string }[] }>("/dead-letters");
      return page.dead_letters.map(({ error }) => error).toReversed();
    },
    expectPds: (replies) => (replies ? driver.expectPds(replies) : driver.expectPds()),
    pdsCalls: driver.pdsCalls,
    logs: driver.logs,
    async stop() {
      await stop();
      await echo.close();
    },
  };
}

function remoteDriver(request: Host["request"]): Driver {
  const call =
    (name: string) =>
    async (...args: unknown[]): Promise<unknown> =>
      (await ok(request(`/driver/${name}`, jsonBody("POST", args)))).json();
  return new Proxy({} as Driver, { get: (_target, name) => call(String(name)) }); // `Driver` types both ends
}

async function ok(reply: Promise<Response>): Promise<Response> {
  const response = await reply;
  if (!response.ok) throw new Error(`${response.url} answers ${response.status}: ${await response.text()}`);
  return response;
}
