import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Database } from "../../../core/db/database.ts";
import { databases, migrated } from "../../setup/databases.ts";

// Scripts made for v2.9 read and write these names through db.raw.
describe.each(databases())("the v2.9 names on $name", (subject) => {
  let db: Database & AsyncDisposable;
  beforeEach(async () => {
    db = await migrated(subject);
  });
  afterEach(() => db[Symbol.asyncDispose]());

  const uri = "at://did:plc:a/com.example.post/1";
  const insert = (): Promise<number> =>
    db.run(
      "INSERT INTO records (uri, did, collection, rkey, record, cid, indexed_at, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      [uri, "did:plc:a", "com.example.post", "1", '{"n":1}', "bafy", "2026-01-01", "2026-01-02"],
    );

  test("records: what is inserted is in both", async () => {
    await insert();
    const expected = {
      uri,
      record: '{"n":1}',
      cid: "bafy",
      indexed_at: "2026-01-01",
      created_at: "2026-01-02",
    };
    for (const table of ["records", "happyview_records"])
      expect(await db.all(`SELECT uri, record, cid, indexed_at, created_at FROM ${table}`)).toEqual([
        expected,
      ]);
    expect(await db.get("SELECT rev FROM happyview_records")).toEqual({ rev: "" });
  });

  test("records: columns left out get their defaults", async () => {
    await db.run(
      "INSERT INTO records (uri, did, collection, rkey, record, created_at) VALUES (?, ?, ?, ?, ?, ?)",
      [uri, "did:plc:a", "com.example.post", "1", "{}", "2026-01-02"],
    );
    const row = await db.get<{ cid: string; indexed_at: string | null }>(
      "SELECT cid, indexed_at FROM records",
    );
    expect(row?.cid).toBe("");
    if (subject.name === "sqlite") expect(row?.indexed_at).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    else expect(row?.indexed_at).toBeNull();
  });

  test("records: update and delete reach the table, references cascade", async () => {
    await insert();
    await db.run("INSERT INTO record_refs (source_uri, target_uri, collection) VALUES (?, ?, ?)", [
      uri,
      "at://did:plc:b/com.example.post/2",
      "com.example.post",
    ]);
    await db.run("UPDATE records SET record = ? WHERE uri = ?", ['{"n":2}', uri]);
    expect(await db.all("SELECT record, cid FROM happyview_records")).toEqual([
      { record: '{"n":2}', cid: "bafy" },
    ]);
    await db.run("DELETE FROM records WHERE did = ?", ["did:plc:a"]);
    expect(await db.all("SELECT * FROM happyview_records")).toEqual([]);
    expect(await db.all("SELECT * FROM record_refs")).toEqual([]);
  });

  test("records: a duplicate is refused as data", async () => {
    await insert();
    const error: unknown = await insert().catch((reason: unknown) => reason);
    expect(db.isTransient(error)).toBe(false);
  });

  test("lexicons, labels and references can be written and removed", async () => {
    await db.run("INSERT INTO lexicons (id, lexicon_json) VALUES (?, ?)", ["a.b.c", "{}"]);
    expect(await db.get("SELECT revision, backfill, source FROM lexicons WHERE id = ?", ["a.b.c"])).toEqual({
      revision: 1,
      backfill: 1,
      source: "manual",
    });
    await db.run("UPDATE lexicons SET revision = revision + 1");
    expect(await db.get("SELECT revision FROM happyview_lexicons")).toEqual({ revision: 2 });
    await db.run("DELETE FROM lexicons");
    expect(await db.all("SELECT * FROM happyview_lexicons")).toEqual([]);

    await db.run("INSERT INTO labels (src, uri, val, cts) VALUES (?, ?, ?, ?)", [
      "did:x:y",
      uri,
      "spam",
      "2026",
    ]);
    await db.run("UPDATE labels SET exp = ? WHERE uri = ?", ["2027", uri]);
    expect(await db.all("SELECT src, val, exp FROM happyview_labels")).toEqual([
      { src: "did:x:y", val: "spam", exp: "2027" },
    ]);
    expect(await db.run("DELETE FROM labels WHERE val = ?", ["spam"])).toBeGreaterThanOrEqual(0);
    expect(await db.all("SELECT * FROM labels")).toEqual([]);
  });

  test("text sorts by bytes, as on the other dialect", async () => {
    for (const key of ["b", "B", "a", "_", "é", "1"])
      await db.run("INSERT INTO lexicons (id, lexicon_json) VALUES (?, ?)", [key, "{}"]);
    const ids = (await db.all<{ id: string }>("SELECT id FROM lexicons ORDER BY id")).map((row) => row.id);
    expect(ids).toEqual(["1", "B", "_", "a", "b", "é"]);
  });
});
