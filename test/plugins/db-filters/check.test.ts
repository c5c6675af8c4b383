import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { queryLexicon, recordLexicon } from "../../suites/http/subject.ts";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const item = "org.example.item";

/** A project with a record lexicon, a query lexicon that lists it, and these scripts. */
async function project(plugins: string, scripts: Record<string, string>): Promise<string> {
  // Inside the repository, so that the config's imports resolve.
  const root = await mkdtemp(join(repository, ".data-dev-test-check-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const files: Record<string, string> = {
    "happyview.config.ts": `import { defineConfig } from "happyview";
import { dbFilters } from "happyview/plugins/db-filters";
import { luaScripts } from "happyview/plugins/lua-scripts";
export default defineConfig({
  plugins: [luaScripts({ workers: 1 }), ${plugins}],
  lexicons: { "org.example.list": { targetCollection: "${item}" } },
});`,
    [`lexicons/${item}.json`]: JSON.stringify(recordLexicon(item)),
    "lexicons/org.example.list.json": JSON.stringify(queryLexicon("org.example.list")),
  };
  for (const [path, body] of Object.entries(scripts)) files[`scripts/${path}.lua`] = body;
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  return root;
}

function check(root: string, ...args: string[]): { status: number | null; stdout: string } {
  const main = join(repository, "core/cli/main.ts");
  const all = ["--conditions=happyview-source", main, "check", "--root", root, ...args];
  return spawnSync(process.execPath, all, { encoding: "utf8" });
}

it("says of each query of a script whether an index serves it, and what each index is for", async () => {
  const indexes = `{ "${item}": ["status", "author.handle", "n"], "org.example.gone": ["name"] }`;
  const root = await project(`dbFilters({ indexes: ${indexes} })`, {
    "xrpc.query/org.example.list": `function handle()
  local served = db.query({ collection = collection, filter = { field = "status", value = params.status } })
  local ordered = db.query({ collection = collection, sort = "status", sortDirection = "asc" })
  local both = db.query({ collection = collection, filter = {
    { field = "author.handle", value = "amy" }, { field = "rating", op = ">", value = 3 },
  } })
  local unserved = db.query({ collection = collection, filter = { field = "rating", op = ">", value = 3 }, sort = "status" })
  local either = db.query({ collection = collection, filter = { combine = "OR",
    { field = "status", value = "a" }, { field = "rating", value = 1 } } })
  local number = db.query({ collection = collection, filter = { field = "n", value = 5 } })
  local own = db.query({ collection = collection, did = caller_did, sort = "rating" })
  local like = db.query({ collection = collection, filter = { field = "status", op = "LIKE", value = "a%" } })
  local found = db.search({ collection = collection, field = "status", query = params.q })
  local wrong = db.query({ collection = collection, filter = { field = "a-b", value = 1 } })
  local hidden = db.query({ collection = collection, filter = filter })
  return db.query({ collection = collection, sort = "indexed_at", limit = 5 })
end`,
    "lib/any": `local lib = {}
function lib.newest(of) return db.query({ collection = of, limit = 1 }) end
return lib`,
    "record.create/org.example.item": `local db = require("happyview.db")
function handle(input)
  local other = db.records("${item}"):where("name", "=", input.record.name):first()
  return other == nil and input.record or nil
end`,
  });
  const { status, stdout } = check(root, "--json");
  expect([status, JSON.parse(stdout)]).toEqual([
    0,
    { ok: true, checked: 5, problems: [], notes: expect.any(Array) },
  ]);
  const { notes } = JSON.parse(stdout) as { notes: { file?: string; hint?: string; message: string }[] };
  const list = "scripts/xrpc.query/org.example.list.lua";
  const served = "served by the index on";
  const whole = "no index serves it, it may read every record of the collection";
  const never = "no index serves LIKE, ILIKE, NOT LIKE and !=";
  const told = notes.map((note) =>
    Object.values({ ...note, hint: [] })
      .filter(String)
      .join(" | "),
  );
  expect(told).toEqual([
    `db-filters | info | the index on ${item} "status" serves =, <, <=, >, >= and sorting`,
    `db-filters | info | the index on ${item} "author.handle" serves =, <, <=, >, >= and sorting`,
    `db-filters | info | the index on ${item} "n" serves =, <, <=, >, >= and sorting`,
    `db-filters | warning | the index on org.example.gone "name" has no records: no lexicon of the project is the record lexicon org.example.gone`,
    `db-filters | scripts/record.create/org.example.item.lua | 3 | warning | happyview.db of ${item} by "name": ${whole}`,
    `db-filters | ${list} | 2 | info | db.query of ${item} by "status": ${served} "status"`,
    `db-filters | ${list} | 3 | info | db.query of ${item} by "status": ${served} "status"`,
    `db-filters | ${list} | 4 | info | db.query of ${item} by "author.handle", "rating": ${served} "author.handle"`,
    `db-filters | ${list} | 7 | info | db.query of ${item} by "rating", "status": ${served} "status"`,
    `db-filters | ${list} | 8 | warning | db.query of ${item} by "status", "rating": ${whole}`,
    `db-filters | ${list} | 10 | info | db.query of ${item} by "n": the index on "n" can serve it, where the database expects it to be worth it; else it reads every record of the collection`,
    `db-filters | ${list} | 11 | info | db.query of ${item} by "rating": no index serves it, it may read every record of its author`,
    `db-filters | ${list} | 12 | info | db.query of ${item} by "status" reads every record of the collection: ${never}`,
    `db-filters | ${list} | 13 | info | db.search of ${item} by "status" reads every record of the collection: ${never}`,
    expect.stringContaining(
      `${list} | 14 | warning | db.query fails: invalid filter field 'a-b': use alphanumeric`,
    ),
    `db-filters | ${list} | 15 | info | db.query: only the run knows its filter, nothing is said of its index`,
  ]);
  expect(notes.map(({ hint }) => hint)[4]).toContain(`dbFilters({ indexes: { "${item}": ["name"] } })`);
});

it("tells people, and says nothing of indexes where there are none", async () => {
  const script = {
    "xrpc.query/org.example.list": `function handle()\n  return db.query({ collection = collection, sort = "n" })\nend`,
  };
  const plain = check(await project("", script));
  expect(plain).toMatchObject({ status: 0, stdout: "3 lexicons and scripts are good\n" });
  const told = check(await project("dbFilters()", script));
  expect(told.status).toBe(0);
  expect(told.stdout.split("\n")).toEqual([
    "3 lexicons and scripts are good",
    `! scripts/xrpc.query/org.example.list.lua:2: db.query of ${item} by "n": no index serves it, it may read every record of the collection`,
    `  → an index may serve it: dbFilters({ indexes: { "${item}": ["n"] } }); LIKE and != are never served`,
    "",
  ]);
});

it("still fails for what is wrong, beside its notes", async () => {
  const root = await project("dbFilters()", { "xrpc.query/org.example.list": "function handle() return }" });
  const { status, stdout } = check(root);
  expect(status).toBe(1);
  expect(stdout).toMatch(/^✗ scripts\/xrpc\.query\/org\.example\.list\.lua:1: /);
});
