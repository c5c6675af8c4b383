import { onTestFinished } from "vitest";
import { definePlugin } from "../../../core/plugin.ts";
import { computeCid } from "../../../core/records/verify.ts";
import { deadLetters } from "../../../plugins/dead-letters/index.ts";
import { eventLog } from "../../../plugins/event-log/index.ts";
import { jobs, type JobsApi } from "../../../plugins/jobs/index.ts";
import { luaScripts, type LuaScriptsOptions } from "../../../plugins/lua-scripts/index.ts";
import { rev } from "../../core/records/_pipeline.ts";
import { adminHeaders, startApp, type TestApp } from "../../setup/app.ts";
import { databases, type DatabaseSubject } from "../../setup/databases.ts";
import { createRecordingLog, type LogLine } from "../../setup/log.ts";
import { jsonBody, queryLexicon, procedureLexicon, recordLexicon } from "../../suites/http/subject.ts";

export const caller = "did:plc:cccccccccccccccccccccccc";
export const author = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
export const collection = "org.example.note";
export const query = "xrpc.query:org.example.notes";
export const procedure = "xrpc.procedure:org.example.make";
export const index = `record.index:${collection}`;

export interface Entry {
  event_type: string;
  severity: string;
  actor_did: string | null;
  subject: string;
  detail: Record<string, unknown>;
}

/** An instance as operators see it: the event log, the process log, dead letters and jobs. */
export interface Bench extends TestApp {
  /** Saves a script whose `handle(input, ctx)` has this code; its first line is line 2. */
  script(id: string, code: string): Promise<void>;
  variable(key: string, value: string): Promise<void>;
  ask(params?: string): Promise<{ status: number; body: unknown }>;
  /** The body as it is given when it is text. */
  make(input: unknown): Promise<{ status: number; body: unknown }>;
  record(record: Record<string, unknown>): Promise<void>;
  /** Runs the job until it is over; as the admin API shows it. */
  job(type: string, input: unknown): Promise<Record<string, unknown> & { id: string }>;
  get<T>(path: string): Promise<T>;
  /** Turns verbose event logging on. */
  verbose(): Promise<void>;
  entries(type: string): Promise<Entry[]>;
  /** The newest of that type. */
  entry(type: string): Promise<Entry>;
  log: LogLine[];
}

interface Given extends LuaScriptsOptions {
  subject?: DatabaseSubject;
  /** Script files by their path. */
  files?: Record<string, string>;
}

export async function startBench({ subject, files = {}, ...options }: Given = {}): Promise<Bench> {
  const [sqlite] = databases();
  const on = subject ?? sqlite;
  if (!on) throw new Error("there is no database");
  const signedIn = definePlugin({
    name: "signed-in",
    setup(app) {
      app.callers.xrpc.push((request) =>
        request.headers.get("authorization") === "Test caller"
          ? { did: caller, clientKey: null, permissions: new Set<string>() }
          : undefined,
      );
    },
  });
  const recording = createRecordingLog();
  const scripts = Object.entries(files).map(([path, text]) => ({ path, name: `scripts/${path}`, text }));
  const test = await startApp(
    on,
    {
      plugins: [
        signedIn(),
        eventLog(),
        deadLetters(),
        jobs({ workers: 1 }),
        luaScripts({ retryDelaysMs: [1], ...options }),
      ],
    },
    { log: recording.log, ...(scripts.length > 0 ? { files: { scripts } } : {}) },
  );
  onTestFinished(test.stop);
  const post = async (path: string, body: unknown): Promise<void> => {
    const response = await test.request(path, jsonBody("POST", body, adminHeaders));
    if (!response.ok) throw new Error(`${path} answers ${response.status}: ${await response.text()}`);
  };
  for (const lexicon of [
    recordLexicon(collection),
    queryLexicon("org.example.notes"),
    procedureLexicon("org.example.make"),
  ])
    await post("/admin/lexicons", { lexicon_json: lexicon });
  const get = async <T>(path: string): Promise<T> =>
    (await (await test.request(path, { headers: adminHeaders })).json()) as T; // the test compares what it gets
  const answered = async (response: Response): Promise<{ status: number; body: unknown }> => ({
    status: response.status,
    body: await response.json(),
  });
  const entries = async (type: string): Promise<Entry[]> =>
    (await get<{ events: Entry[] }>(`/admin/events?event_type=${type}&limit=100`)).events;
  let written = 0;
  return {
    ...test,
    log: recording.lines,
    get,
    entries,
    async verbose() {
      const path = "/admin/settings/verbose_event_logging";
      await test.request(path, jsonBody("PUT", { value: "true" }, adminHeaders));
    },
    script: (id, code) => post("/admin/scripts", { id, body: `function handle(input, ctx)\n${code}\nend` }),
    variable: (key, value) => post("/admin/script-variables", { key, value }),
    async ask(params = "") {
      return answered(await test.request(`/xrpc/org.example.notes${params}`));
    },
    async make(input) {
      const signed = { authorization: "Test caller" };
      return answered(await test.request("/xrpc/org.example.make", jsonBody("POST", input, signed)));
    },
    async record(record) {
      const base = { kind: "commit", action: "create", did: author, collection } as const;
      const cid = computeCid(record) ?? "";
      written++;
      void test.app.records.pipeline.ingest({ ...base, rkey: `k${written}`, rev: rev(written), record, cid });
      await test.app.records.pipeline.flush();
    },
    async job(type, input) {
      const queue = test.app.api("jobs") as JobsApi;
      const id = await queue.create(type, input, { createdBy: caller });
      for (;;) {
        const job = await get<Record<string, unknown> & { id: string }>(`/admin/jobs/${id}`);
        if (job["status"] === "failed" || job["status"] === "completed") return job;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async entry(type) {
      const [newest] = await entries(type);
      if (!newest) throw new Error(`there is no event ${type}`);
      return newest;
    },
  };
}
