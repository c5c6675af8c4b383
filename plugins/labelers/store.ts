import type { BulkInsert, Queries } from "../../core/db/database.ts";
import type { Label } from "./label.ts";

const columns = { src: "text", uri: "text", val: "text", cts: "text" } as const;

const intoLabels: BulkInsert = {
  table: "happyview_labels",
  columns: { ...columns, exp: "text" },
  onConflict: "(src, uri, val) DO UPDATE SET cts = excluded.cts, exp = excluded.exp",
};
const intoNegations: BulkInsert = {
  table: "happyview_label_negations",
  columns,
  onConflict: "(src, uri, val) DO UPDATE SET cts = excluded.cts",
};

/** Stores labels in the order they came. What is older than what is known of a (src, uri, val) changes nothing. */
export async function storeLabels(tx: Queries, labels: readonly Label[]): Promise<void> {
  const known = await knownTimes(tx, labels);
  const last = new Map<string, Label>();
  for (const label of labels) {
    const key = keyOf(label);
    const time = Date.parse(label.cts);
    if (time < (known.get(key) ?? Number.NEGATIVE_INFINITY)) continue;
    known.set(key, time);
    last.set(key, label);
  }
  const positive = [...last.values()].filter(({ neg }) => !neg);
  const negative = [...last.values()].filter(({ neg }) => neg);
  for (const { src, uri, val } of negative)
    await tx.run("DELETE FROM happyview_labels WHERE src = ? AND uri = ? AND val = ?", [src, uri, val]);
  for (const { src, uri, val } of positive)
    await tx.run("DELETE FROM happyview_label_negations WHERE src = ? AND uri = ? AND val = ?", [
      src,
      uri,
      val,
    ]);
  await tx.insertMany(
    intoNegations,
    negative.map(({ src, uri, val, cts }) => [src, uri, val, cts]),
  );
  await tx.insertMany(
    intoLabels,
    positive.map(({ src, uri, val, cts, exp }) => [src, uri, val, cts, exp ?? null]),
  );
}

async function knownTimes(tx: Queries, labels: readonly Label[]): Promise<Map<string, number>> {
  const uris = [...new Set(labels.map(({ uri }) => uri))];
  const times = new Map<string, number>();
  for (const table of ["happyview_labels", "happyview_label_negations"])
    for (const row of await tx.selectByKeys<Pick<Label, "src" | "uri" | "val" | "cts">>(
      `SELECT src, uri, val, cts FROM ${table}`,
      "uri",
      uris,
    ))
      times.set(keyOf(row), Math.max(Date.parse(row.cts), times.get(keyOf(row)) ?? Number.NEGATIVE_INFINITY));
  return times;
}

function keyOf({ src, uri, val }: Pick<Label, "src" | "uri" | "val">): string {
  return JSON.stringify([src, uri, val]);
}

/** Takes away what has expired; returns how many. */
export async function sweepExpired(db: Queries, nowMs: number): Promise<number> {
  // Expiries that scripts or older versions wrote may have other forms, so the text alone does not decide.
  const rows = await db.all<{ src: string; uri: string; val: string; exp: string }>(
    "SELECT src, uri, val, exp FROM happyview_labels WHERE exp IS NOT NULL AND exp < ? LIMIT 10000",
    [new Date(nowMs + 24 * 60 * 60 * 1000).toISOString()],
  );
  const expired = rows.filter(({ exp }) => Date.parse(exp) <= nowMs);
  for (const { src, uri, val, exp } of expired)
    await db.run("DELETE FROM happyview_labels WHERE src = ? AND uri = ? AND val = ? AND exp = ?", [
      src,
      uri,
      val,
      exp,
    ]);
  return expired.length;
}
