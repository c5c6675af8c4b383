import { TID } from "@atproto/common-web";
import { createApp, createLogger, definePlugin, type App, type Plugin } from "../../../core/index.ts";
import { resolveConfig } from "../../../core/config/resolve.ts";
import type { LogEvent } from "../../../core/events.ts";
import type { PipelineLimits } from "../../../core/records/pipeline.ts";
import type { LexiconRegistry } from "../../../core/lexicons/registry.ts";

export const alice = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
export const bob = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb";
export const note = "com.example.note";

export interface TestApp {
  app: App;
  log: LogEvent[];
  lexicons: LexiconRegistry;
  track(...collections: string[]): Promise<void>;
  stored(uri: string): Promise<unknown>;
  ready(): Promise<{ status: number; stream: { ok: boolean; detail: Record<string, unknown> } }>;
  metrics(): Promise<string>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** An app on a database in memory, which tracks `com.example.note`. */
export async function testApp(
  plugin: Plugin,
  options: { database?: string; pipeline?: PipelineLimits; plcUrl?: string; besides?: Plugin[] } = {},
): Promise<TestApp> {
  const log: LogEvent[] = [];
  let lexicons: LexiconRegistry | undefined;
  // Set up first, so that the lexicon is there before the stream connects.
  const observer = definePlugin({
    name: "observer",
    async setup(app) {
      lexicons = app.lexicons;
      app.hook("event", (event) => void log.push(event));
      if (!lexicons.isTracked(note)) await lexicons.put({ document: recordLexicon(note) });
    },
  });
  const config = resolveConfig(
    {
      plugins: [observer(), ...(options.besides ?? []), plugin],
      database: { url: options.database ?? ":memory:" },
      network: { plcUrl: options.plcUrl ?? "http://127.0.0.1:9" },
    },
    { mode: "test", root: ".", env: {} },
  );
  const app = await createApp({ config, log: createLogger({ level: "silent" }), pipeline: options.pipeline });
  if (!lexicons) throw new Error("the observer was not set up");
  const registry = lexicons;
  const get = (path: string): Promise<Response> => app.fetch(new Request(`http://localhost${path}`));
  return {
    app,
    log,
    lexicons: registry,
    async track(...collections) {
      for (const id of collections) await registry.put({ document: recordLexicon(id) });
    },
    async stored(uri) {
      const row = await app.db.get<{ record: string }>("SELECT record FROM happyview_records WHERE uri = ?", [
        uri,
      ]);
      return row === undefined ? undefined : JSON.parse(row.record);
    },
    async ready() {
      const response = await get("/health/ready");
      const body = (await response.json()) as { checks: { stream: { ok: boolean; detail: {} } } };
      return { status: response.status, stream: body.checks.stream };
    },
    metrics: async () => (await get("/metrics")).text(),
    [Symbol.asyncDispose]: () => app.close(),
  };
}

export function recordLexicon(id: string): Record<string, unknown> {
  return { lexicon: 1, id, defs: { main: { type: "record", key: "tid", record: { type: "object" } } } };
}

let lastMicros = 0;

/** Grows strictly, like a Jetstream's clock. */
export function micros(): number {
  lastMicros = Math.max(lastMicros + 1, Date.now() * 1000);
  return lastMicros;
}

export interface CommitFrame {
  did: string;
  time_us: number;
  kind: "commit";
  commit: Record<string, unknown>;
  [field: string]: unknown;
}

export function commitFrame(
  rkey: string,
  record: Record<string, unknown> = { $type: note, rkey },
  overrides: { did?: string; collection?: string; time_us?: number } = {},
): CommitFrame {
  const { did = alice, collection = note, time_us = micros() } = overrides;
  const rev = TID.fromTime(Math.max(time_us, 2 ** 50), 0).toString();
  return { did, time_us, kind: "commit", commit: { rev, operation: "create", collection, rkey, record } };
}

export function noteUri(rkey: string, did: string = alice): string {
  return `at://${did}/${note}/${rkey}`;
}
