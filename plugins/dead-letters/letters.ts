import type { PluginApp } from "../../core/index.ts";
import type { SqlValue } from "../../core/db/database.ts";

/** A script's input that failed every attempt, kept for a person to look at. */
export interface NewLetter {
  /** The trigger that ran. */
  scriptRef: string;
  /** Whose letter it is: who can run it again is registered under this name. */
  hostKind: string;
  /** `<nsid>:<action>` for records, the labeler's DID for labels. */
  hostId: string;
  payload: Readonly<Record<string, unknown>>;
  /** The last attempt's error, with its line. */
  error: string;
  attempts: number;
  /** Null when it concerns no collection. */
  collection: string | null;
}

export interface Letter extends NewLetter {
  id: string;
  createdAt: string;
  resolvedAt: string | null;
}

export type Resolved = "open" | "resolved" | "all";

export interface Letters {
  add(letter: NewLetter): Promise<void>;
  /** Of both tables, newest first; `before` is the creation time of the last one seen. */
  list(filter: {
    collection?: string | undefined;
    resolved: Resolved;
    before?: string | undefined;
    limit: number;
  }): Promise<Letter[]>;
  count(resolved: Resolved): Promise<number>;
  get(id: string): Promise<Letter | undefined>;
  /** False when there is no such letter. */
  resolve(id: string): Promise<boolean>;
  /** Resolves all open ones, or those of a collection. */
  resolveOpen(collection: string | undefined): Promise<void>;
  /** One more attempt that failed. */
  failed(id: string, error: string): Promise<void>;
  removeResolvedBefore(time: string): Promise<void>;
}

const scripts = "happyview_dead_letter_scripts";
const hooks = "happyview_dead_letter_hooks";

/** Both tables in one form; the rows of 2.8's hooks are those with an action. */
const fromScripts = `
  SELECT CAST(id AS TEXT) AS id, script_ref, host_kind, host_id, payload, error, attempts, created_at, resolved_at,
    collection, NULL AS uri, NULL AS did, NULL AS rkey, NULL AS action
  FROM ${scripts}`;
const fromHooks = `
  SELECT id, lexicon_id AS script_ref, 'record' AS host_kind, '' AS host_id, record AS payload, error, attempts,
    created_at, resolved_at, collection, uri, did, rkey, action
  FROM ${hooks}`;

interface LetterRow {
  id: string;
  script_ref: string;
  host_kind: string;
  host_id: string;
  payload: string | null;
  error: string;
  attempts: number;
  created_at: string;
  resolved_at: string | null;
  collection: string | null;
  uri: string | null;
  did: string | null;
  rkey: string | null;
  action: string | null;
}

export function createLetters({ db, clock }: Pick<PluginApp, "db" | "clock">): Letters {
  return {
    async add({ scriptRef, hostKind, hostId, payload, error, attempts, collection }) {
      await db.run(
        `INSERT INTO ${scripts} (script_ref, host_kind, host_id, payload, error, attempts, created_at, collection)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
        [
          scriptRef,
          hostKind,
          hostId,
          JSON.stringify(payload),
          error,
          attempts,
          clock.timestamp(),
          collection,
        ],
      );
    },
    async list({ collection, resolved, before, limit }) {
      const { where, params } = conditions({ collection, resolved, before });
      const rows = await db.all<LetterRow>(
        `SELECT * FROM (${fromScripts} UNION ALL ${fromHooks}) AS letters ${where} ORDER BY created_at DESC LIMIT ?`,
        [...params, limit],
      );
      return rows.map(toLetter);
    },
    async count(resolved) {
      const { where } = conditions({ resolved });
      const row = await db.get<{ n: number }>(
        `SELECT (SELECT count(*) FROM ${scripts} ${where}) + (SELECT count(*) FROM ${hooks} ${where}) AS n`,
      );
      return row?.n ?? 0;
    },
    async get(id) {
      const { table, key } = keyOf(id);
      const from = table === scripts ? fromScripts : fromHooks;
      const row = await db.get<LetterRow>(`${from} WHERE id = ?`, [key]);
      return row && toLetter(row);
    },
    async resolve(id) {
      const { table, key } = keyOf(id);
      const now = clock.timestamp();
      const changed = await db.run(
        `UPDATE ${table} SET resolved_at = coalesce(resolved_at, ?) WHERE id = ?`,
        [now, key],
      );
      return changed > 0;
    },
    async resolveOpen(collection) {
      const { where, params } = conditions({ collection, resolved: "open" });
      for (const table of [scripts, hooks])
        await db.run(`UPDATE ${table} SET resolved_at = ? ${where}`, [clock.timestamp(), ...params]);
    },
    async failed(id, error) {
      const { table, key } = keyOf(id);
      await db.run(`UPDATE ${table} SET error = ?, attempts = attempts + 1 WHERE id = ?`, [error, key]);
    },
    async removeResolvedBefore(time) {
      for (const table of [scripts, hooks])
        await db.run(`DELETE FROM ${table} WHERE resolved_at < ?`, [time]);
    },
  };
}

function conditions(filter: {
  collection?: string | undefined;
  resolved: Resolved;
  before?: string | undefined;
}): { where: string; params: SqlValue[] } {
  const parts: string[] = [];
  const params: SqlValue[] = [];
  if (filter.collection !== undefined) {
    parts.push("collection = ?");
    params.push(filter.collection);
  }
  if (filter.resolved !== "all") parts.push(`resolved_at IS ${filter.resolved === "open" ? "" : "NOT "}NULL`);
  if (filter.before !== undefined) {
    parts.push("created_at < ?");
    params.push(filter.before);
  }
  return { where: parts.length > 0 ? `WHERE ${parts.join(" AND ")}` : "", params };
}

/** A number names a row of the scripts table, anything else one of the hooks table (lua §1.5). */
function keyOf(id: string): { table: string; key: SqlValue } {
  return /^\d{1,15}$/.test(id) ? { table: scripts, key: Number(id) } : { table: hooks, key: id };
}

function toLetter(row: LetterRow): Letter {
  const { id, error, attempts, collection, action, uri, did, rkey } = row;
  const content: unknown = row.payload === null ? null : JSON.parse(row.payload);
  const common = { id, error, attempts, collection, createdAt: row.created_at, resolvedAt: row.resolved_at };
  if (action === null)
    return {
      ...common,
      scriptRef: row.script_ref,
      hostKind: row.host_kind,
      hostId: row.host_id,
      payload: content as Record<string, unknown>, // what `add` wrote
    };
  const trigger = row.script_ref;
  return {
    ...common,
    scriptRef: trigger,
    hostKind: "record",
    hostId: `${collection}:${action}`,
    payload: { trigger, action, uri, did, collection, rkey, record: content },
  };
}
