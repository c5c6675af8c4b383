import { describe, expect, test } from "vitest";
import type { Database } from "../../../core/db/database.ts";
import type { CommitEvent } from "../../../core/records/change.ts";
import { createStaleCheck } from "../../../core/records/stale.ts";
import { databases, migrated } from "../../setup/databases.ts";

const did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
const uriOf = (rkey: string): string => `at://${did}/xyz.statusphere.status/${rkey}`;
const commit = (rkey: string, rev: string, of = did): CommitEvent => ({
  kind: "commit",
  did: of,
  rev,
  collection: "xyz.statusphere.status",
  rkey,
  action: "create",
  cid: "",
  record: {},
});

describe.each(databases())("whether events are stale, on $name", (subject) => {
  test("is asked of what is stored, set aside and deleted, and of the account's end", async () => {
    await using db = await migrated(subject);
    for (const [table, rkey] of [
      ["records", "seen"],
      ["withheld_records", "withheld"],
    ] as const)
      await db.run(
        `INSERT INTO happyview_${table} (uri, did, collection, rkey, record, rev, created_at) VALUES (?, ?, '', '', '{}', '5', '')`,
        [uriOf(rkey), did],
      );
    await db.run("INSERT INTO happyview_record_tombstones (uri, rev, deleted_at) VALUES (?, '5', '')", [
      uriOf("deleted"),
    ]);
    const gone = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb";
    await db.run(
      "INSERT INTO happyview_accounts (did, status, status_rev, void_before) VALUES (?, 'deleted', '5', '5')",
      [gone],
    );
    const isStale = createStaleCheck(db);
    const ask = (rev: string): Promise<boolean[]> =>
      Promise.all([
        ...["seen", "withheld", "deleted", "new"].map((rkey) => isStale(commit(rkey, rev), uriOf(rkey))),
        isStale(commit("x", rev, gone), `at://${gone}/xyz.statusphere.status/x`),
      ]);
    expect(await ask("4")).toEqual([true, true, true, false, true]);
    expect(await ask("5")).toEqual([true, true, true, false, false]);
    expect(await ask("6")).toEqual([false, false, false, false, false]);
    expect(await ask("")).toEqual([false, false, false, false, false]);
  });

  test("is asked together while the database answers", async () => {
    await using db = await migrated(subject);
    const sizes: number[] = [];
    const counting: Database = {
      ...db,
      selectByKeys(select, column, keys) {
        if (select.endsWith("FROM happyview_records")) sizes.push(keys.length);
        return db.selectByKeys(select, column, keys);
      },
    };
    const isStale = createStaleCheck(counting);
    const rkeys = Array.from({ length: 100 }, (_, i) => `r${i}`);
    await Promise.all(rkeys.map((rkey) => isStale(commit(rkey, "1"), uriOf(rkey))));
    expect(sizes).toEqual([1, 99]);
  });

  test("is told to nobody when the database fails, and asked anew later", async () => {
    await using db = await migrated(subject);
    let isAway = true;
    const failing: Database = {
      ...db,
      selectByKeys: (...args) => (isAway ? Promise.reject(new Error("away")) : db.selectByKeys(...args)),
    };
    const isStale = createStaleCheck(failing);
    const both = [isStale(commit("a", "1"), uriOf("a")), isStale(commit("b", "1"), uriOf("b"))];
    for (const one of both) await expect(one).rejects.toThrow("away");
    isAway = false;
    expect(await isStale(commit("a", "1"), uriOf("a"))).toBe(false);
  });
});
