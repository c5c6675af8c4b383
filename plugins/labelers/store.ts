import type { BulkInsert, Queries } from "../../core/db/database.ts";
import { isExpired } from "./datetime.ts";
import { createdAt, storedExpiry, type Label } from "./label.ts";

type Key = Pick<Label, "src" | "uri" | "val">;

const live = "happyview_labels";
const over = "happyview_ended_labels";
const key = { src: "text", uri: "text", val: "text" } as const;

const intoLabels: BulkInsert = {
  table: live,
  columns: { ...key, cts: "text", exp: "text", cid: "text" },
  onConflict: "(src, uri, val) DO UPDATE SET cts = excluded.cts, exp = excluded.exp, cid = excluded.cid",
};
const intoEnded: BulkInsert = {
  table: over,
  columns: { ...key, cts: "text" },
  onConflict: "(src, uri, val) DO UPDATE SET cts = excluded.cts",
};

export interface Written {
  stored: number;
  /** Negated, or expired before they came. */
  ended: number;
  /** Older than what is known. */
  stale: number;
}

export interface WriteOptions {
  nowMs: number;
  /** Whether the labels come in the order of their making; those of one moment then replace each other. */
  inOrder: boolean;
}

/** What is known of a (src, uri, val). */
interface Known {
  /** Unix microseconds. */
  time: number;
  /** The tables that have it. */
  in: Set<string>;
}

/** Stores labels in their order. What is older than what is known of a (src, uri, val) changes nothing. */
export async function writeLabels(
  tx: Queries,
  labels: readonly Label[],
  { nowMs, inOrder }: WriteOptions,
): Promise<Written> {
  const known = await readKnown(tx, labels);
  const winners = new Map<string, Label>();
  let stale = 0;
  for (const label of labels) {
    const id = idOf(label);
    const before = known.get(id) ?? { time: Number.NEGATIVE_INFINITY, in: new Set() };
    const time = createdAt(label) ?? Number.NEGATIVE_INFINITY;
    if (time < before.time || (time === before.time && !inOrder)) {
      stale += 1;
      continue;
    }
    known.set(id, { ...before, time });
    winners.set(id, label);
  }
  const isOver = ({ neg, exp }: Label): boolean => neg || isExpired(exp, nowMs);
  const ended = [...winners.values()].filter(isOver);
  const stored = [...winners.values()].filter((label) => !isOver(label));
  const remove = async (from: string, gone: readonly Label[]): Promise<void> => {
    for (const label of gone)
      if (known.get(idOf(label))?.in.has(from))
        await tx.run(`DELETE FROM ${from} WHERE src = ? AND uri = ? AND val = ?`, [
          label.src,
          label.uri,
          label.val,
        ]);
  };
  await remove(live, ended);
  await remove(over, stored);
  await tx.insertMany(
    intoEnded,
    ended.map(({ src, uri, val, cts }) => [src, uri, val, cts]),
  );
  await tx.insertMany(
    intoLabels,
    stored.map((label) => {
      const { src, uri, val, cts, cid = null } = label;
      return [src, uri, val, cts, storedExpiry(label), cid];
    }),
  );
  return { stored: stored.length, ended: ended.length, stale };
}

async function readKnown(tx: Queries, labels: readonly Label[]): Promise<Map<string, Known>> {
  const uris = [...new Set(labels.map(({ uri }) => uri))];
  const known = new Map<string, Known>();
  for (const table of [live, over]) {
    const rows = await tx.selectByKeys<Key & { cts: string }>(
      `SELECT src, uri, val, cts FROM ${table}`,
      "uri",
      uris,
    );
    for (const row of rows) {
      const { time, in: tables } = known.get(idOf(row)) ?? {
        time: Number.NEGATIVE_INFINITY,
        in: new Set<string>(),
      };
      // Scripts may have written anything.
      const own = createdAt(row) ?? Number.NEGATIVE_INFINITY;
      known.set(idOf(row), { time: Math.max(time, own), in: tables.add(table) });
    }
  }
  return known;
}

function idOf({ src, uri, val }: Key): string {
  return JSON.stringify([src, uri, val]);
}

/** What names the labels of a labeler for a transaction's lock. */
export function lockOf(did: string): string {
  return `labels:${did}`;
}

/** Deletes some of the labels that came of a labeler; false when there were none left. */
export async function removeSome(tx: Queries, did: string, limit: number): Promise<boolean> {
  let removed = 0;
  for (const table of [live, over])
    removed += await tx.run(
      `DELETE FROM ${table} WHERE (src, uri, val) IN (SELECT src, uri, val FROM ${table} WHERE src = ? LIMIT ?)`,
      [did, limit],
    );
  return removed > 0;
}
