import { expect, test } from "vitest";
import { luaScripts } from "../../../../plugins/lua-scripts/index.ts";
import { adminHeaders, startApp } from "../../../setup/app.ts";
import { databases } from "../../../setup/databases.ts";
import { jsonBody, queryLexicon } from "../../../suites/http/subject.ts";

test.each([
  ["lua54", "Lua 5.4"],
  ["fengari", "Lua 5.3"],
] as const)("the option `engine: %s` runs scripts by %s", async (engine, version) => {
  const [sqlite] = databases();
  if (!sqlite) throw new Error("there is no SQLite subject");
  await using test = await startApp(sqlite, { plugins: [luaScripts({ engine })] });
  const post = (path: string, body: unknown): Promise<Response> =>
    test.request(path, jsonBody("POST", body, adminHeaders));
  await post("/admin/lexicons", {
    lexicon_json: queryLexicon("org.example.q"),
    target_collection: "org.example.note",
  });
  const body =
    "function handle() return { _VERSION, #db.query({ collection = collection }).records, json.encode({ a = 1 }) } end";
  expect((await post("/admin/scripts", { id: "xrpc.query:org.example.q", body })).status).toBe(201);
  expect(await (await test.request("/xrpc/org.example.q")).json()).toEqual([version, 0, '{"a":1}']);
});
