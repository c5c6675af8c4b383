import { onTestFinished } from "vitest";
import type { LogEvent } from "../../../../core/events.ts";
import { definePlugin } from "../../../../core/plugin.ts";
import { jobs } from "../../../../plugins/jobs/index.ts";
import { luaScripts, type LuaScriptsOptions } from "../../../../plugins/lua-scripts/index.ts";
import { adminHeaders, startApp, type TestApp } from "../../../setup/app.ts";
import { databases, type DatabaseSubject } from "../../../setup/databases.ts";
import { jsonBody } from "../../../suites/http/subject.ts";

export const caller = "did:plc:cccccccccccccccccccccccc";
export const author = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
export const collection = "org.example.note";

export const sqlite: DatabaseSubject =
  databases()[0] ??
  ((): never => {
    throw new Error("no SQLite");
  })();

export interface Answer {
  status: number;
  body: unknown;
}

export interface Bench extends TestApp {
  events: LogEvent[];
  /** Runs the body of `handle(input, ctx)` as a query without a caller. */
  query(code: string, options?: { params?: string; signedIn?: boolean }): Promise<Answer>;
  /** The same as a procedure of `caller`. */
  procedure(code: string, input?: unknown): Promise<Answer>;
  script(id: string, body: string): Promise<Response>;
  lexicon(document: object, options?: object): Promise<Response>;
  /** Rows of the index, as the test wants them: uri, JSON text, cid, indexed_at. */
  put(rkey: string, record: object, cid?: string): Promise<string>;
}

export const noteLexicon = {
  lexicon: 1,
  id: collection,
  defs: {
    main: {
      type: "record",
      key: "tid",
      record: {
        type: "object",
        required: ["text"],
        properties: {
          text: { type: "string" },
          stars: { type: "integer", default: 3 },
          tags: { type: "array", items: { type: "string" }, default: [] },
          ratio: { type: "unknown" },
          about: { type: "string" },
        },
      },
    },
  },
};

interface Given {
  subject?: DatabaseSubject;
  env?: Record<string, string>;
  /** Script files by their path. */
  files?: Record<string, string>;
}

/** A bench of one test. */
export async function startBench(options: LuaScriptsOptions = {}, given: Given = {}): Promise<Bench> {
  const bench = await openBench(options, given);
  onTestFinished(bench.stop);
  return bench;
}

/** A bench that several tests share; who opens it stops it. */
export async function openBench(options: LuaScriptsOptions = {}, given: Given = {}): Promise<Bench> {
  const events: LogEvent[] = [];
  const extras = definePlugin({
    name: "extras",
    setup(app) {
      app.hook("event", (event) => void events.push(event));
      app.callers.xrpc.push((request) =>
        request.headers.get("authorization") === "Test caller"
          ? { did: caller, clientKey: "hvc_test", permissions: new Set<string>() }
          : undefined,
      );
    },
  });
  const files = Object.entries(given.files ?? {}).map(([path, text]) => ({
    path,
    name: `scripts/${path}`,
    text,
  }));
  const test = await startApp(
    given.subject ?? sqlite,
    { plugins: [extras(), jobs({ workers: 0 }), luaScripts({ retryDelaysMs: [1], ...options })] },
    { ...(given.env ? { env: given.env } : {}), ...(files.length > 0 ? { files: { scripts: files } } : {}) },
  );
  const admin = (path: string, body: unknown): Promise<Response> =>
    test.request(path, jsonBody("POST", body, adminHeaders));
  const lexicon: Bench["lexicon"] = (document, more = {}) =>
    admin("/admin/lexicons", { lexicon_json: document, ...more });
  const script: Bench["script"] = (id, body) => admin("/admin/scripts", { id, body });
  await lexicon(noteLexicon);
  const main = (type: string): object => ({
    lexicon: 1,
    id: `org.example.run.${type}`,
    defs: { main: { type } },
  });
  await lexicon(main("query"), { target_collection: collection });
  await lexicon(main("procedure"), { target_collection: collection });
  const saved = async (id: string, code: string): Promise<void> => {
    const response = await script(id, `function handle(input, ctx)\n${code}\nend`);
    if (!response.ok) throw new Error(`${code}: ${await response.text()}`);
  };
  const signed = { authorization: "Test caller" };
  const answer = async (response: Response): Promise<Answer> => ({
    status: response.status,
    body: await response.json(),
  });
  return {
    ...test,
    events,
    script,
    lexicon,
    async query(code, { params = "", signedIn = false } = {}) {
      await saved("xrpc.query:org.example.run.query", code);
      return answer(
        await test.request(`/xrpc/org.example.run.query${params}`, signedIn ? { headers: signed } : {}),
      );
    },
    async procedure(code, input = {}) {
      await saved("xrpc.procedure:org.example.run.procedure", code);
      return answer(await test.request("/xrpc/org.example.run.procedure", jsonBody("POST", input, signed)));
    },
    put: (rkey, record, cid = "bafytest") =>
      test.app.records.local.put({ did: author, collection, rkey, record: JSON.stringify(record), cid }),
  };
}

/** The value a script returned; anything but a success is the failure of the test. */
export async function value(answer: Promise<Answer>): Promise<unknown> {
  const { status, body } = await answer;
  if (status !== 200) throw new Error(`${status}: ${JSON.stringify(body)}`);
  return body;
}
