import { afterAll, beforeAll } from "vitest";
import { collection, storeRecords } from "../../db-filters/_records.ts";
import type { DatabaseSubject, TestDatabase } from "../../../setup/databases.ts";
import { openTestPool, type TestPool } from "../engine/_pool.ts";

/** Records of the tests, oldest first; the other author has but one, in `z`. */
export const items = {
  a: { k: "a", name: "Alpha", n: 5, on: true, at: { x: "1" }, tags: ["red", "blue"], uri: "mine" },
  b: { k: "b", name: "Beta", n: 30, on: false, at: { x: "2" } },
  c: { k: "c", name: "alphabet", n: 4, mixed: "4" },
  d: { k: "d", name: null, n: null, mixed: 7 },
  e: { k: "e", name: "Über 50%", mixed: true },
};

/** A pool on a database with the items, opened before all tests of a block. */
export function openShop(subject: DatabaseSubject): {
  pool(): TestPool;
  lua(code: string): Promise<unknown>;
} {
  let database: TestDatabase | undefined;
  let pool: TestPool | undefined;
  const opened = (): TestPool => {
    if (!pool) throw new Error("the pool opens before the first test");
    return pool;
  };
  beforeAll(async () => {
    database = await subject.open();
    pool = await openTestPool({ workers: 1 }, database.url);
    await storeRecords(pool.database, items);
  });
  afterAll(async () => {
    await pool?.close();
    await database?.drop();
  });
  return { pool: opened, lua: async (code) => JSON.parse(await opened().evaluate(code)) as unknown };
}

/** `keys(r)` is the keys of a result's records in their order; `err(f, …)` is the message of what `f` raises. */
export const prelude = `
local C = "${collection}"
local function keys(r) local t = {} for _, x in ipairs(r.records) do t[#t + 1] = x.k end return table.concat(t) end
local function err(f, ...) local ok, e = pcall(f, ...) return ok and "no error" or tostring(e) end
`;
