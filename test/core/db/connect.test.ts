import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { connect, resolveDatabaseUrl } from "../../../core/db/database.ts";
import { explain } from "../../../core/errors.ts";

describe("database URLs", () => {
  test.each([
    ["file:.data/happyview.db", ".data/happyview.db"],
    ["file:/var/lib/x.db", "/var/lib/x.db"],
    ["file:///var/lib/x.db", "/var/lib/x.db"],
    ["sqlite://data/x.db?mode=rwc", "data/x.db"],
    ["sqlite:///data/x.db?mode=rwc", "/data/x.db"],
    ["sqlite:x.db", "x.db"],
    ["file:with%20space.db", "with space.db"],
    ["sqlite::memory:", ":memory:"],
    [":memory:", ":memory:"],
  ])("%s is the SQLite file %s", (url, file) => {
    expect(resolveDatabaseUrl(url)).toEqual({ dialect: "sqlite", file });
  });

  test.each(["postgres://u:p@h/d", "postgresql://h:5433/d?sslmode=require"])("%s is Postgres", (url) => {
    expect(resolveDatabaseUrl(url)).toEqual({ dialect: "postgres", url });
  });

  test.each([
    "mysql://root:secret@host/db",
    "mysql://root:a/secret@x@host/db?password=secret",
    "happyview.db",
    "",
    "http://x",
    "file:",
  ])("%j is refused", (url) => {
    expect(() => resolveDatabaseUrl(url)).toThrow(
      expect.objectContaining({
        code: "DATABASE_URL_INVALID",
        hint: expect.stringContaining("DATABASE_URL"),
        message: expect.not.stringContaining("secret"),
      }),
    );
  });
});

describe("a SQLite file that cannot be used", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "happyview-test-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test("lies in a folder that is made", async () => {
    const db = await connect({ url: `file:${folder}/a/b/c.db` });
    expect(await db.get("SELECT 1 AS one")).toEqual({ one: 1 });
    await db.close();
  });

  test("lies where no folder can be made", async () => {
    await writeFile(join(folder, "file"), "");
    await expect(connect({ url: `file:${folder}/file/inner/x.db` })).rejects.toMatchObject({
      code: "DATABASE_UNREACHABLE",
      message: expect.stringContaining("folder"),
      hint: expect.stringContaining("DATABASE_URL"),
      cause: expect.anything(),
    });
  });

  test("is a folder", async () => {
    await expect(connect({ url: `file:${folder}` })).rejects.toMatchObject({
      code: "DATABASE_UNREACHABLE",
      message: expect.stringContaining(folder),
    });
  });

  test("is no database, and stays as it was", async () => {
    const file = join(folder, "notes.txt");
    const text = "not a database, but somebody's notes\n".repeat(100);
    await writeFile(file, text);
    await expect(connect({ url: `file:${file}` })).rejects.toMatchObject({
      code: "DATABASE_UNREACHABLE",
      message: expect.stringContaining("notes.txt"),
      hint: expect.stringContaining("move it away"),
    });
    expect(await readFile(file, "utf8")).toBe(text);
  });

  // Permissions do not stop root; a write version that SQLite does not know does (file format §1.3.2).
  test("is read-only", async () => {
    const file = join(folder, "x.db");
    const db = await connect({ url: `file:${file}` });
    await db.run("CREATE TABLE t (x TEXT)");
    await db.close();
    const handle = await open(file, "r+");
    await handle.write(Buffer.from([3, 1]), 0, 2, 18);
    await handle.close();
    await expect(connect({ url: `file:${file}` })).rejects.toMatchObject({
      code: "DATABASE_READ_ONLY",
      message: expect.stringContaining("cannot be written"),
      hint: expect.stringMatching(/writable.*DATABASE_URL/),
      cause: expect.anything(),
    });
  });
});

describe("a Postgres that cannot be used", () => {
  test("does not run", async () => {
    await expect(connect({ url: "postgres://u:secret@127.0.0.1:1/db" })).rejects.toMatchObject({
      code: "DATABASE_UNREACHABLE",
      message: "Postgres at postgres://127.0.0.1:1/db cannot be reached",
      hint: expect.stringContaining("DATABASE_URL"),
      cause: expect.anything(),
    });
  });

  test.each([
    ["postgres://u:pa@secret@127.0.0.1:1/db?password=secret", "postgres://127.0.0.1:1/db"],
    ["postgres://u:1/secret@127.0.0.1:1/db", "postgres://…"],
  ])("shows nothing of the password in %s", async (url, shown) => {
    const error: unknown = await connect({ url }).catch((e: unknown) => e);
    expect(error).toMatchObject({ message: expect.stringContaining(`at ${shown} cannot be reached`) });
    expect(explain(error)).not.toContain("secret");
  });

  test.each(["postgres://u:pa/secret@127.0.0.1:1/db", "postgres://u:secret%@127.0.0.1:1/db"])(
    "has a URL that cannot be read: %s",
    async (url) => {
      const error: unknown = await connect({ url }).catch((e: unknown) => e);
      expect(error).toMatchObject({
        code: "DATABASE_URL_INVALID",
        hint: expect.stringContaining("%2F for /"),
        cause: expect.anything(),
      });
      expect(inspect(error)).not.toContain("secret");
    },
  );

  test("has no such database", async () => {
    const url = `${inject("postgresUrl")}no_such_database`;
    await expect(connect({ url })).rejects.toMatchObject({
      code: "DATABASE_UNREACHABLE",
      message: expect.not.stringContaining("happyview:"),
      cause: expect.objectContaining({ message: expect.stringContaining("no_such_database") }),
    });
  });

  test("refuses the password", async () => {
    const url = `${inject("postgresUrl").replace(/:[^:@]*@/, ":wrong@")}postgres`;
    await expect(connect({ url })).rejects.toMatchObject({ code: "DATABASE_UNREACHABLE" });
  });
});

test(":memory: is gone after close", async () => {
  const db = await connect({ url: ":memory:" });
  await db.run("CREATE TABLE t (x TEXT)");
  expect(await db.all("SELECT * FROM t")).toEqual([]);
  const { location } = db;
  await db.close();
  await expect(readFile(location)).rejects.toMatchObject({ code: "ENOENT" });
});
