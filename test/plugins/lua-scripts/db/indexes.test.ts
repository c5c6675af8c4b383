import { describe, expect, it } from "vitest";
import type { Database } from "../../../../core/db/database.ts";
import { applyIndexes, planIndexes } from "../../../../plugins/db-filters/indexes.ts";
import { parseFilter } from "../../../../plugins/db-filters/parse.ts";
import { parsePath } from "../../../../plugins/db-filters/path.ts";
import type { Sort } from "../../../../plugins/lua-scripts/api/db-options.ts";
import {
  backlinksStatement,
  byUriStatement,
  countStatement,
  queryStatement,
  type QueryPage,
  type Statement,
} from "../../../../plugins/lua-scripts/api/db-statements.ts";
import { databases, migrated } from "../../../setup/databases.ts";
import { collection, storeRecords } from "../../db-filters/_records.ts";

const did = "did:plc:rare";
const after = { createdAt: "2026-01-01T00:10:00.000Z", uri: "at://x" };
const page = (more: Partial<QueryPage>): QueryPage => ({
  collection,
  did: undefined,
  limit: 20,
  filter: undefined,
  start: { after: undefined },
  ...more,
});
const sorted = (by: string): QueryPage["start"] => {
  const field = by === "indexed_at" ? by : parsePath(by);
  if (!field) throw new Error(`${by} is no path`);
  return { sort: { by: field, direction: "DESC" } satisfies Sort, offset: 0 };
};

describe.each(databases())("the statements of db on $name", (subject) => {
  const dialect = subject.name;
  const filtered = (filter: unknown): Statement =>
    queryStatement(page({ filter: parseFilter(filter) }), dialect);

  const cases: [string, Statement, RegExp][] = [
    ["first page", queryStatement(page({}), dialect), /records_by_creation/],
    ["next page", queryStatement(page({ start: { after } }), dialect), /records_by_creation/],
    ["first page of an author", queryStatement(page({ did }), dialect), /records_by_repo_creation/],
    [
      "next page of an author",
      queryStatement(page({ did, start: { after } }), dialect),
      /records_by_repo_creation/,
    ],
    [
      "sorted by arrival",
      queryStatement(page({ start: sorted("indexed_at") }), dialect),
      /records_by_arrival/,
    ],
    ["sorted by an indexed field", queryStatement(page({ start: sorted("n") }), dialect), /by_field_n_/],
    ["filtered by text", filtered({ field: "s", value: "s5" }), /by_field_s_/],
    [
      "filtered by number",
      filtered([
        { field: "n", op: ">", value: 5 },
        { field: "n", op: "<", value: 9 },
      ]),
      /by_field_n_/,
    ],
    ["filtered by a boolean", filtered({ field: "b", value: true }), /by_field_b_/],
    ["a record", { sql: byUriStatement, params: ["at://x"] }, /pkey|autoindex/],
    ["count", countStatement("org.example.rare", undefined), /using (covering )?index|only scan/i],
    ["count of an author", countStatement(collection, did), /happyview_records_by_repo/],
    [
      "backlinks",
      backlinksStatement({ collection, uri: "at://t", did: undefined, limit: 20, after: undefined }),
      /record_refs_by_target/,
    ],
  ];

  it("use an index each, and sort nothing", async () => {
    await using db = await migrated(subject);
    const fields = { [collection]: ["s", "n", "b"] };
    await applyIndexes(db, planIndexes(fields, { dialect, byArrival: false }));
    const records = Array.from(
      { length: 3000 },
      (_, i) => [`k${i}`, { s: `s${i}`, n: i, b: i % 500 === 0 }] as const,
    );
    await storeRecords(db, Object.fromEntries(records));
    await storeRecords(db, Object.fromEntries(records), "org.example.other");
    await db.run(
      "INSERT INTO happyview_record_refs SELECT uri, 'at://t/' || rkey, collection FROM happyview_records",
    );
    await db.run("ANALYZE");
    for (const [what, statement, index] of cases) {
      const plan = await explain(db, statement);
      expect(plan, what).toMatch(index);
      if (/first|next|sorted/.test(what)) expect(plan, what).not.toMatch(/TEMP B-TREE|->\s+Sort/);
    }
  });
});

async function explain(db: Database, { sql, params }: Statement): Promise<string> {
  const rows = await db.all<Record<string, string>>(
    `EXPLAIN ${db.dialect === "sqlite" ? "QUERY PLAN " : ""}${sql}`,
    params,
  );
  return rows.map((row) => row["detail"] ?? row["QUERY PLAN"]).join("\n");
}
