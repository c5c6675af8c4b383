import type { Dialect } from "../../../core/db/database.ts";
import type { SourceEvent } from "../../../core/records/change.ts";
import { computeCid } from "../../../core/records/verify.ts";
import { rev } from "../../core/records/_pipeline.ts";

/** Something that speaks HTTP as an instance does: an app in this process, or the URL of a built server. */
export interface HttpSubject {
  name: string;
  start(): Promise<RunningSubject>;
}

export interface RunningSubject {
  dialect: Dialect;
  /** Sends a request for a path; follows no redirect. */
  request(path: string, init?: RequestInit): Promise<Response>;
  /** Headers of a caller with every permission. */
  admin: Record<string, string>;
  /** Headers of a caller that is known and has no permission; without it those cases are left out. */
  limited?: Record<string, string>;
  /** Brings events in as a stream would; resolves when they are served. */
  ingest(events: readonly SourceEvent[]): Promise<void>;
  /** How many entries of the event log were announced so far; without it only the state is compared. */
  events?(): number;
  stop(): Promise<void>;
}

/** Sends JSON, with the headers given. */
export function jsonBody(method: string, body: unknown, headers: Record<string, string> = {}): RequestInit {
  return {
    method,
    headers: { ...headers, "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  };
}

export async function getJson<T = Record<string, unknown>>(
  subject: RunningSubject,
  path: string,
  headers: Record<string, string> = {},
): Promise<T> {
  const response = await subject.request(path, { headers });
  if (response.status !== 200)
    throw new Error(`${path} answers ${response.status}: ${await response.text()}`);
  return (await response.json()) as T; // each caller compares what it gets
}

export function putLexicon(
  subject: RunningSubject,
  document: Record<string, unknown>,
  options: Record<string, unknown> = {},
): Promise<Response> {
  const body = { lexicon_json: document, backfill: false, ...options };
  return subject.request("/admin/lexicons", jsonBody("POST", body, subject.admin));
}

export const recordLexicon = (id: string): Record<string, unknown> => ({
  lexicon: 1,
  id,
  defs: {
    main: {
      type: "record",
      key: "tid",
      record: { type: "object", properties: { text: { type: "string" } } },
    },
  },
});

export const queryLexicon = (id: string): Record<string, unknown> => ({
  lexicon: 1,
  id,
  defs: {
    main: {
      type: "query",
      parameters: { type: "params", properties: { limit: { type: "integer" }, cursor: { type: "string" } } },
    },
  },
});

export const procedureLexicon = (id: string): Record<string, unknown> => ({
  lexicon: 1,
  id,
  defs: { main: { type: "procedure", input: { encoding: "application/json" } } },
});

/** Created records of one collection, in the order of `keys`. */
export function createEvents(
  did: string,
  collection: string,
  keys: readonly number[],
  body: (n: number) => Record<string, unknown> = (n) => ({ text: `v${n}` }),
): SourceEvent[] {
  return keys.map((n) => {
    const record = { $type: collection, ...body(n) };
    const cid = computeCid(record) ?? "";
    return { kind: "commit", action: "create", did, collection, rkey: `k${n}`, rev: rev(n), record, cid };
  });
}

export const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);
