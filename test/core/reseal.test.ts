import { describe, expect, test } from "vitest";
import { createSecretBox } from "../../core/secret-box.ts";
import { luaScripts } from "../../plugins/lua-scripts/index.ts";
import { oauth } from "../../plugins/oauth/index.ts";
import { users } from "../../plugins/users/index.ts";
import { adminHeaders, startApp, type TestApp } from "../setup/app.ts";
import { databases } from "../setup/databases.ts";
import { jsonBody } from "../suites/http/subject.ts";

const [first, second, third] = [1, 2, 3].map((n) => Buffer.alloc(32, n).toString("base64"));
const login = JSON.stringify({ tokenSet: { access_token: "token" } });

describe.each(databases())("on $name", (subject) => {
  test("script variables, the attestation key and what signing in keeps outlive a second rotation", async () => {
    const { url, drop } = await subject.open();
    const start = (key: string | undefined, previous?: string): Promise<TestApp> =>
      startApp(
        { name: subject.name, open: async () => ({ url, drop: async () => {} }) },
        { plugins: [users(), oauth(), luaScripts({ workers: 1 })] },
        {
          env: {
            PUBLIC_URL: "https://hv.example",
            SESSION_SECRET: "a secret of at least thirty-two characters",
            TOKEN_ENCRYPTION_KEY: key,
            TOKEN_ENCRYPTION_KEY_PREVIOUS: previous,
          },
        },
      );
    const sealed = async ({ app: { db } }: TestApp): Promise<string[]> =>
      (
        await db.all<{ v: string }>(
          `SELECT value AS v FROM happyview_script_variables UNION ALL SELECT sealed FROM happyview_attestation_keys
           UNION ALL SELECT session_data FROM happyview_oauth_sessions UNION ALL SELECT jwk FROM happyview_oauth_keys`,
        )
      ).map(({ v }) => v);
    const opened = async (t: TestApp, key: string | undefined): Promise<string[]> => {
      const box = createSecretBox(key);
      return (await sealed(t)).flatMap((value) => {
        try {
          return [box.open(value)];
        } catch {
          return [];
        }
      });
    };

    let t = await start(first);
    const headers = { ...adminHeaders, host: "hv.example" };
    for (let n = 0; n < 120; n++) {
      const variable = { key: `VARIABLE_${n}`, value: `value ${n}` }; // more than one batch
      const put = await t.request("/admin/script-variables", jsonBody("POST", variable, headers));
      expect(put.status).toBe(204);
    }
    expect((await t.request("/oauth-client-metadata.json", { headers })).status).toBe(200); // makes the key
    await t.app.db.run(
      "INSERT INTO happyview_oauth_sessions (did, session_data, updated_at) VALUES (?, ?, ?)",
      ["did:plc:carol", createSecretBox(first).seal(login), "2026-05-01T00:00:00Z"],
    );
    const before = await opened(t, first);
    expect(before).toHaveLength(123);
    expect(before).toContain(login);
    await t.stop();

    t = await start(second, first);
    await expect.poll(async () => (await opened(t, second)).toSorted()).toEqual(before.toSorted());
    await t.stop();

    t = await start(third, second);
    await expect.poll(async () => (await opened(t, third)).toSorted()).toEqual(before.toSorted());
    await t.stop();
    await drop();
  });
});
