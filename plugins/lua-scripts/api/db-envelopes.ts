import type { ScriptValue } from "../engine/engine.ts";
import { optionsOf, requiredText } from "./db-options.ts";
import type { Statement } from "./db-statements.ts";

/** What version 3 gives of a record. */
export interface Envelope {
  uri: string;
  did: string;
  collection: string;
  rkey: string;
  cid: string | null;
  indexed_at: string | null;
  record: string;
}

export function envelopesStatement(uris: string[]): Statement {
  const marks = uris.map(() => "?").join(", ");
  const envelope = "uri, did, collection, rkey, cid, indexed_at, record";
  return { sql: `SELECT ${envelope} FROM happyview_records WHERE uri IN (${marks})`, params: uris };
}

/** The sequence up to its first nil. */
export function urisOf(list: ScriptValue): string[] {
  const { items } = optionsOf(list);
  const end = items.indexOf(undefined);
  return (end < 0 ? items : items.slice(0, end)).map(requiredText);
}

/** In the order of the URIs. */
export function envelopesJson(rows: readonly Envelope[], uris: readonly string[]): string {
  const found = new Map(
    rows.map(({ record, cid, indexed_at: indexedAt, ...plain }) => {
      // What is empty is nil for the script.
      const known = { ...plain, cid: cid || undefined, indexed_at: indexedAt || undefined };
      return [plain.uri, `${JSON.stringify(known).slice(0, -1)},"record":${record}}`];
    }),
  );
  return `[${uris.flatMap((uri) => found.get(uri) ?? []).join(",")}]`;
}
