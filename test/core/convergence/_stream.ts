import type { Database } from "../../../core/db/database.ts";
import type { JetstreamEvent } from "../../../playground/network/event.ts";
import { generateEvents, type GenerateOptions } from "../../../playground/network/generate.ts";
import { oracle } from "../../../playground/network/oracle.ts";

export const collections = ["xyz.statusphere.status", "com.example.note"];

/** 20,000 events as bad as a network gets: bursts on one record, repetitions, old news, accounts that come and go. */
export function hardStream(seed: number, options: Partial<GenerateOptions> = {}): JetstreamEvent[] {
  return [
    ...generateEvents({
      events: 20_000,
      seed,
      dids: 150,
      collections,
      updates: 0.2,
      deletes: 0.1,
      burst: 0.35,
      accounts: 0.02,
      duplicates: 0.03,
      stale: 0.06,
      ...options,
    }),
  ];
}

/** What must be in the table, in the form of `tableOf`. */
export function expectedTable(events: Iterable<JetstreamEvent>): Record<string, string> {
  return Object.fromEntries(
    [...oracle(events)].map(([uri, { cid, rev, record }]) => [
      uri,
      `${rev} ${cid} ${JSON.stringify(record)}`,
    ]),
  );
}

export async function tableOf(db: Database): Promise<Record<string, string>> {
  const rows = await db.all<{ uri: string; cid: string; rev: string; record: string }>(
    "SELECT uri, cid, rev, record FROM happyview_records",
  );
  return Object.fromEntries(rows.map(({ uri, cid, rev, record }) => [uri, `${rev} ${cid} ${record}`]));
}

/** The first URIs that differ, with what is there and what should be: a diff of whole tables could not be read. */
export function differences(actual: Record<string, string>, expected: Record<string, string>): string[] {
  const uris = new Set([...Object.keys(actual), ...Object.keys(expected)]);
  return [...uris]
    .filter((uri) => actual[uri] !== expected[uri])
    .slice(0, 20)
    .map(
      (uri) =>
        `${uri}\n  is        ${actual[uri] ?? "not there"}\n  should be ${expected[uri] ?? "not there"}`,
    );
}
