import { describe, expect, test } from "vitest";
import { luaScripts } from "../../../plugins/lua-scripts/index.ts";
import { adminHeaders, startApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { jsonBody } from "../../suites/http/subject.ts";

const key = Buffer.alloc(32, 7).toString("base64");

describe.each(databases())("script variables on $name", (subject) => {
  test("are previewed, used as env, removed; and unreadable in the database", async () => {
    await using test = await startApp(
      subject,
      { plugins: [luaScripts()] },
      { env: { TOKEN_ENCRYPTION_KEY: key } },
    );
    const post = (path: string, body: unknown): Promise<Response> =>
      test.request(path, jsonBody("POST", body, adminHeaders));
    expect((await post("/admin/script-variables", { key: "TOKEN", value: "s3cret-value" })).status).toBe(204);
    expect((await post("/admin/script-variables", { key: "ON", value: "yes" })).status).toBe(204);
    const list = await test.request("/admin/script-variables", { headers: adminHeaders });
    expect(await list.json()).toMatchObject([
      { key: "ON", preview: "***" },
      { key: "TOKEN", preview: "s3cr****" },
    ]);
    const rows = await test.app.db.all<{ value: string }>("SELECT value FROM happyview_script_variables");
    expect(rows.every(({ value }) => value.startsWith("enc:v1:"))).toBe(true);

    const lexicon = { lexicon: 1, id: "org.example.env", defs: { main: { type: "query" } } };
    await post("/admin/lexicons", { lexicon_json: lexicon });
    await post("/admin/scripts", {
      id: "xrpc.query:org.example.env",
      body: "function handle() return { env.TOKEN, env.MISSING == nil } end",
    });
    expect(await (await test.request("/xrpc/org.example.env")).json()).toEqual(["s3cret-value", true]);

    const gone = await test.request("/admin/script-variables/TOKEN", {
      method: "DELETE",
      headers: adminHeaders,
    });
    expect(gone.status).toBe(204);
    const again = await test.request("/admin/script-variables/TOKEN", {
      method: "DELETE",
      headers: adminHeaders,
    });
    expect([again.status, await again.json()]).toEqual([404, { error: "script variable 'TOKEN' not found" }]);
  });
});

test("a key that is none is refused at start, with how to make one", async () => {
  const [sqlite] = databases();
  if (!sqlite) throw new Error("there is no SQLite subject");
  await expect(
    startApp(sqlite, { plugins: [luaScripts()] }, { env: { TOKEN_ENCRYPTION_KEY: "short" } }),
  ).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    hint: expect.stringContaining("openssl rand -base64 32"),
  });
});
