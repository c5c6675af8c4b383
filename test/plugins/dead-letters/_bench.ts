import { createServer } from "node:http";
import { onTestFinished } from "vitest";
import type { LogEvent } from "../../../core/events.ts";
import { definePlugin } from "../../../core/plugin.ts";
import { computeCid } from "../../../core/records/verify.ts";
import { deadLetters } from "../../../plugins/dead-letters/index.ts";
import { luaScripts } from "../../../plugins/lua-scripts/index.ts";
import { rev } from "../../core/records/_pipeline.ts";
import { adminHeaders, limitedCaller, startApp, type TestApp } from "../../setup/app.ts";
import type { DatabaseSubject } from "../../setup/databases.ts";
import { jsonBody, recordLexicon } from "../../suites/http/subject.ts";

export const collection = "org.example.note";
export const did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

export type Letter = Record<string, unknown> & { id: string };

export interface Bench extends TestApp {
  events: LogEvent[];
  /** What the author's PDS answers for a rkey. */
  pds: Map<string, Record<string, unknown>>;
  script(body: string, id?: string): Promise<void>;
  write(action: "create" | "delete", rkey: string, record?: Record<string, unknown>): Promise<void>;
  stored(rkey: string): Promise<unknown>;
  get(path: string): Promise<{ status: number; body: never }>;
  post(path: string, body?: unknown): Promise<{ status: number; body: unknown }>;
  letters(query?: string): Promise<Letter[]>;
}

/** An app with record scripts, and a network of one PDS that is also its PLC directory. */
export async function start(subject: DatabaseSubject): Promise<Bench> {
  const events: LogEvent[] = [];
  const pds = new Map<string, Record<string, unknown>>();
  const url = await serve(pds);
  const listener = definePlugin({
    name: "listener",
    setup: (app) => void app.hook("event", (event) => void events.push(event)),
  });
  const test = await startApp(
    subject,
    { plugins: [listener(), limitedCaller(), luaScripts({ retryDelaysMs: [1, 1, 1] }), deadLetters()] },
    { env: { PLC_URL: url } },
  );
  onTestFinished(test.stop);
  const answer = async (response: Response): Promise<{ status: number; body: never }> => ({
    status: response.status,
    body: (await response.json()) as never, // each test says what it expects
  });
  const post = async (path: string, body?: unknown): Promise<{ status: number; body: unknown }> =>
    answer(
      await test.request(
        `/admin/dead-letters${path}`,
        body === undefined ? { method: "POST", headers: adminHeaders } : jsonBody("POST", body, adminHeaders),
      ),
    );
  const get = async (path: string): Promise<{ status: number; body: never }> =>
    answer(await test.request(`/admin/dead-letters${path}`, { headers: adminHeaders }));
  await test.request(
    "/admin/lexicons",
    jsonBody("POST", { lexicon_json: recordLexicon(collection) }, adminHeaders),
  );
  let n = 0;
  return {
    ...test,
    events,
    pds,
    get,
    post,
    async script(body, id = `record.index:${collection}`) {
      const script = { id, body: `function handle()\n${body}\nend` };
      await test.request("/admin/scripts", jsonBody("POST", script, adminHeaders));
    },
    async write(action, rkey, record = { text: rkey }) {
      const base = { kind: "commit", action, did, collection, rkey, rev: rev(++n) } as const;
      void test.app.records.pipeline.ingest(
        action === "delete" ? { ...base, cid: "" } : { ...base, record, cid: computeCid(record) ?? "" },
      );
      await test.app.records.pipeline.flush();
    },
    async stored(rkey) {
      const row = await test.app.db.get<{ record: string }>(
        "SELECT record FROM happyview_records WHERE rkey = ?",
        [rkey],
      );
      return row && (JSON.parse(row.record) as unknown);
    },
    async letters(query = "") {
      return ((await get(query)).body as { dead_letters: Letter[] }).dead_letters;
    },
  };
}

function serve(records: ReadonlyMap<string, Record<string, unknown>>): Promise<string> {
  return new Promise((resolve) => {
    const server = createServer((request, response) => {
      const url = new URL(request.url ?? "/", "http://localhost");
      const value = records.get(url.searchParams.get("rkey") ?? "");
      response.setHeader("content-type", "application/json");
      if (url.pathname === `/${did}`) response.end(JSON.stringify(documentOf(request.headers.host ?? "")));
      else if (value) response.end(JSON.stringify({ value, cid: computeCid(value) }));
      else response.writeHead(400).end(JSON.stringify({ error: "RecordNotFound" }));
    });
    onTestFinished(() => void server.close());
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(`http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`);
    });
  });
}

function documentOf(host: string): Record<string, unknown> {
  const service = {
    id: "#atproto_pds",
    type: "AtprotoPersonalDataServer",
    serviceEndpoint: `http://${host}`,
  };
  return { id: did, service: [service] };
}
