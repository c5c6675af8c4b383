import { readFileSync } from "node:fs";
import type { LogEvent } from "../../core/events.ts";
import { definePlugin } from "../../core/plugin.ts";
import { computeCid } from "../../core/records/verify.ts";
import { dbFilters } from "../../plugins/db-filters/index.ts";
import { deadLetters } from "../../plugins/dead-letters/index.ts";
import { jobs, type JobsApi } from "../../plugins/jobs/index.ts";
import { luaScripts, type LuaScriptsOptions } from "../../plugins/lua-scripts/index.ts";
import type { ApplyLabel, Label } from "../../plugins/lua-scripts/label.ts";
import { rev } from "../core/records/_pipeline.ts";
import { adminHeaders, startApp } from "../setup/app.ts";
import type { DatabaseSubject } from "../setup/databases.ts";
import { jsonBody } from "../suites/http/subject.ts";
import type { Row } from "./cases.ts";
import { startEchoServer } from "./echo-server.ts";
import { createFakePds, type PdsReply } from "./fake-pds.ts";

/** Something that runs HappyView scripts. Another implementation takes part by filling this in. */
export interface Instance {
  /** The address of the echo server, for `env.HTTP`. */
  http: string;
  /** No scripts, variables, records, labels, jobs, dead letters and log lines. */
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
  /** What the PDS of callers will answer; with undefined they have no session. */
  expectPds(replies: readonly PdsReply[] | undefined): void;
  pdsCalls(): readonly (readonly [method: string, body: unknown])[];
  /** What scripts gave to log(). */
  logs(): string[];
  stop(): Promise<void>;
}

export interface StoredLabel {
  src: string;
  uri: string;
  val: string;
  cts: string;
  exp?: string;
}

export interface XrpcRequest {
  method: "GET" | "POST";
  nsid: string;
  query: string;
  input?: unknown;
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

interface World {
  lexicons: { lexicon: unknown; targetCollection?: string }[];
}

const world = JSON.parse(readFileSync(new URL("world.json", import.meta.url), "utf8")) as World; // ours

export async function startInstance(subject: DatabaseSubject, engine: LuaScriptsOptions): Promise<Instance> {
  const events: LogEvent[] = [];
  const tester = definePlugin({
    name: "tester",
    setup(app) {
      app.hook("event", (event) => void events.push(event));
      app.callers.xrpc.push((request) => {
        const [scheme, did] = (request.headers.get("authorization") ?? "").split(" ");
        return scheme === "Test" && did ? { did, clientKey: null, permissions: new Set() } : undefined;
      });
    },
  });
  const pds = createFakePds();
  const echo = await startEchoServer();
  const test = await startApp(
    subject,
    {
      plugins: [
        tester(),
        dbFilters(),
        deadLetters(),
        jobs({ pollMs: 20 }),
        luaScripts({ workers: 2, retryDelaysMs: [1, 1, 1], pds: pds.writer, ...engine }),
      ],
    },
    { env: { SCRIPT_HTTP_ALLOW: "127.0.0.1" } },
  );
  const { app } = test;
  const admin = async (method: string, path: string, body?: unknown): Promise<Response> =>
    test.request(
      `/admin${path}`,
      body === undefined ? { method, headers: adminHeaders } : jsonBody(method, body, adminHeaders),
    );
  const list = async <T>(path: string): Promise<T> => (await (await admin("GET", path)).json()) as T; // our own routes
  const must = async (reply: Promise<Response>): Promise<void> => {
    const response = await reply;
    if (!response.ok) throw new Error(`${response.url} answers ${response.status}: ${await response.text()}`);
  };
  for (const { lexicon, targetCollection } of world.lexicons)
    await must(
      admin("POST", "/lexicons", {
        lexicon_json: lexicon,
        backfill: false,
        ...(targetCollection ? { target_collection: targetCollection } : {}),
      }),
    );
  const { applyLabel } = app.api("lua-scripts") as { applyLabel: ApplyLabel };
  const queue = app.api("jobs") as JobsApi;
  let revision = 0;

  const ingest = async ({ action, record, ...where }: RecordEvent): Promise<void> => {
    const base = { kind: "commit", action, ...where, rev: rev(++revision) } as const;
    const done = app.records.pipeline.ingest(
      action === "delete" || !record
        ? { ...base, cid: "" }
        : { ...base, record, cid: computeCid(record) ?? "" },
    );
    await app.records.pipeline.flush();
    await done;
  };

  return {
    http: echo.url,
    ingest,
    applyLabel,
    expectPds: pds.expect,
    pdsCalls: pds.calls,
    async reset() {
      for (const { id } of await list<{ id: string }[]>("/scripts"))
        await must(admin("DELETE", `/scripts/${encodeURIComponent(id)}`));
      for (const { key } of await list<{ key: string }[]>("/script-variables"))
        await must(admin("DELETE", `/script-variables/${encodeURIComponent(key)}`));
      for (const table of ["records", "record_refs", "labels", "jobs", "job_logs", "dead_letter_scripts"])
        await app.db.run(`DELETE FROM happyview_${table}`);
      events.length = 0;
    },
    async saveScript(id, body) {
      const response = await admin("POST", "/scripts", { id, body });
      const { error = "" } = (await response.json()) as { error?: string };
      return { status: response.status, error };
    },
    setVariable: (key, value) => must(admin("POST", "/script-variables", { key, value })),
    async seed(rows) {
      for (const [did, collection, rkey, record] of rows)
        await ingest({ action: "create", did, collection, rkey, record: record as Record<string, unknown> });
    },
    async addLabels(labels) {
      for (const { src, uri, val, cts, exp } of labels)
        await app.db.run("INSERT INTO happyview_labels (src, uri, val, cts, exp) VALUES (?, ?, ?, ?, ?)", [
          src,
          uri,
          val,
          cts,
          exp ?? null,
        ]);
    },
    async xrpc({ method, nsid, query, input, caller }) {
      const headers: Record<string, string> = caller === undefined ? {} : { authorization: `Test ${caller}` };
      const path = `/xrpc/${nsid}${query === "" ? "" : `?${query}`}`;
      const response = await test.request(
        path,
        method === "GET" ? { headers } : jsonBody("POST", JSON.stringify(input), headers),
      );
      return { status: response.status, text: await response.text() };
    },
    async runJob(type, input, caller) {
      const id = await queue.create(type, input, { createdBy: caller });
      for (;;) {
        const job = await list<FinishedJob>(`/jobs/${id}`);
        if (job.status !== "pending" && job.status !== "running") return job;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    async rows() {
      const rows = await app.db.all<{ did: string; collection: string; rkey: string; record: string }>(
        "SELECT did, collection, rkey, record FROM happyview_records ORDER BY uri",
      );
      return rows.map(({ did, collection, rkey, record }) => [did, collection, rkey, JSON.parse(record)]);
    },
    async deadLetters() {
      const page = await list<{ dead_letters: { error: string }[] }>("/dead-letters");
      return page.dead_letters.map(({ error }) => error).toReversed();
    },
    logs: () =>
      events
        .filter((event) => event.type === "script.log")
        .map((event) => (event.detail as { message: string }).message),
    async stop() {
      await test.stop();
      await echo.close();
    },
  };
}
