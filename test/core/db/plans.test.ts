import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Database } from "../../../core/db/database.ts";
import { createRecordStore, recordStatements } from "../../../core/records/store.ts";
import { recording, type Statement } from "../../fakes/recording-database.ts";
import { databases, migrated } from "../../setup/databases.ts";
import { account, alice, bob, collection, commit, createBench } from "../records/_pipeline.ts";

const accounts = 20;
const perAccount = 600;

describe.each(databases())("query plans on $name", (subject) => {
  let db: Database & AsyncDisposable;

  beforeAll(async () => {
    db = await migrated(subject);
    await fill(db);
    await db.run("ANALYZE");
  });
  afterAll(() => db[Symbol.asyncDispose]());

  test.each(Object.entries(recordStatements))("%s uses an index and sorts nothing", async (_, sql) => {
    const did = "did:plc:account7";
    const uri = `at://${did}/${collection}/3`;
    const params = sql.includes("did = ?") ? [did, collection] : [collection];
    const statement = {
      sql,
      params:
        sql === recordStatements.get
          ? [uri]
          : [...params, ...(sql.includes("<") ? ["2026-05-01T00:00:00", uri] : []), 21],
    };
    await expectIndexed(db, statement);
  });

  test("an old client's offset walks the index", async () => {
    await expectIndexed(db, { sql: `${recordStatements.first} OFFSET ?`, params: [collection, 21, 40] });
  });

  test("every statement of the pipeline uses an index and sorts nothing", async () => {
    const recorder = recording(db);
    const { pipeline } = createBench(recorder.db);
    pipeline.intercept({ wants: (_, nsid) => nsid === collection, handle: async () => {} });
    for (const did of [alice, bob]) {
      void pipeline.ingest(commit("create", 1, { did }));
      void pipeline.ingest(commit("update", 2, { did, record: { ref: `at://${bob}/x.y.z/1` } }));
      void pipeline.ingest(commit("create", 3, { did, rkey: "two" }));
      void pipeline.ingest(commit("delete", 4, { did, rkey: "two" }));
    }
    void pipeline.ingest(account(5, "takendown"));
    void pipeline.ingest(commit("update", 6));
    void pipeline.ingest(account(7, undefined));
    void pipeline.ingest(account(8, "deleted"));
    await pipeline.flush();
    await pipeline.position("jetstream");
    await pipeline.close();
    const store = createRecordStore(recorder.db);
    await store.remove(`at://${bob}/${collection}/one`);

    const statements = recorder.statements();
    expect(statements.length).toBeGreaterThan(12);
    for (const statement of statements) await expectIndexed(db, statement);
  });

  test.each([
    ["collection = ?", [collection]],
    ["collection = ? AND (created_at, uri) < (?, ?)", [collection, "2026-05-09", "at://x"]],
    ["collection = ? AND did = ?", [collection, "did:plc:account7"]],
    [
      "collection = ? AND did = ? AND (created_at, uri) < (?, ?)",
      [collection, "did:plc:account7", "2026-05-09", "at://x"],
    ],
  ])("a script's page WHERE %s uses an index and sorts nothing", async (where, params) => {
    const sql = `SELECT uri, record, created_at FROM happyview_records WHERE ${where} ORDER BY created_at DESC, uri DESC LIMIT ?`;
    await expectIndexed(db, { sql, params: [...params, 20] });
  });

  test("tombstones are swept by their age", async () => {
    const sql = "DELETE FROM happyview_record_tombstones WHERE deleted_at < ?";
    await expectIndexed(db, { sql, params: ["2026-01-01T00:00:00"] });
  });

  test("backlinks and labels are found by their targets", async () => {
    await expectIndexed(db, {
      sql: "SELECT source_uri FROM happyview_record_refs WHERE target_uri = ? AND collection = ?",
      params: ["at://did:plc:account9/x.y.z/4", collection],
    });
    await expectIndexed(db, { sql: "SELECT val FROM happyview_labels WHERE uri = ?", params: ["at://x"] });
  });
});

async function expectIndexed(db: Database, statement: Statement): Promise<void> {
  const plan = db.dialect === "sqlite" ? await sqlitePlan(db, statement) : await postgresPlan(db, statement);
  expect(plan, `${statement.sql}\n${plan}`).toMatch(/USING (COVERING )?INDEX|Index (Only )?Scan|Bitmap/);
  expect(plan, `${statement.sql}\n${plan}`).not.toMatch(
    /SCAN (?!CONSTANT)(?!\(subquery)\w|TEMP B-TREE|Seq Scan|Sort/,
  );
}

async function sqlitePlan(db: Database, { sql, params }: Statement): Promise<string> {
  const rows = await db.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`, params);
  return rows.map((row) => row.detail).join("\n");
}

async function postgresPlan(db: Database, { sql, params }: Statement): Promise<string> {
  const rows = await db.all<{ "QUERY PLAN": string }>(`EXPLAIN ${sql}`, params);
  return rows.map((row) => row["QUERY PLAN"]).join("\n");
}

/** Thousands of rows in every table, so that a planner has a reason to use an index. */
async function fill(db: Database): Promise<void> {
  const rows: string[][] = [];
  const refs: string[][] = [];
  const others: string[][] = [];
  const people: string[][] = [];
  for (let a = 0; a < accounts; a++) {
    const did = `did:plc:account${a}`;
    people.push([did, "active", "1", ""]);
    for (let r = 0; r < perAccount; r++) {
      const nsid = r % 2 === 0 ? collection : "com.example.post";
      const uri = `at://${did}/${nsid}/${r}`;
      const at = `2026-05-${String(1 + (r % 28)).padStart(2, "0")}T00:00:${String(a % 60).padStart(2, "0")}`;
      rows.push([uri, did, nsid, String(r), "{}", "cid", "1", at, at]);
      refs.push([uri, `at://did:plc:account${r}/x.y.z/${a}`, nsid]);
      others.push([`${uri}gone`, "1", at]);
    }
  }
  const records = (table: string) => ({
    table,
    columns: {
      uri: "text",
      did: "text",
      collection: "text",
      rkey: "text",
      record: "text",
      cid: "text",
      rev: "text",
      indexed_at: "text",
      created_at: "text",
    } as const,
  });
  await db.transaction(async (tx) => {
    await tx.insertMany(records("happyview_records"), rows);
    await tx.insertMany(
      records("happyview_withheld_records"),
      rows.map(([uri = "", ...rest]) => [`${uri}withheld`, ...rest]),
    );
    await tx.insertMany(
      {
        table: "happyview_record_refs",
        columns: { source_uri: "text", target_uri: "text", collection: "text" },
      },
      refs,
    );
    await tx.insertMany(
      {
        table: "happyview_record_tombstones",
        columns: { uri: "text", rev: "text", deleted_at: "text" },
      },
      others,
    );
    await tx.insertMany(
      {
        table: "happyview_accounts",
        columns: { did: "text", status: "text", status_rev: "text", void_before: "text" },
      },
      Array.from({ length: 200 }, (_, i) =>
        people.map(([did = "", ...rest]) => [`${did}x${i}`, ...rest]),
      ).flat(),
    );
    await tx.insertMany(
      { table: "happyview_labels", columns: { src: "text", uri: "text", val: "text", cts: "text" } },
      rows.map(([uri = ""]) => ["did:web:labeler", uri, "spam", "2026"]),
    );
    await tx.insertMany(
      {
        table: "happyview_stream_positions",
        columns: { source: "text", position: "text", updated_at: "text" },
      },
      Array.from({ length: 2000 }, (_, i) => [`source${i}`, "1", "2026"]),
    );
  });
}
