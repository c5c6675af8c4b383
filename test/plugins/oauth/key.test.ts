import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { oauth } from "../../../plugins/oauth/index.ts";
import { users } from "../../../plugins/users/index.ts";
import { startApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";

test.each(databases())(
  "a key that could not be read is read the next time, without a restart, on $name",
  async (subject) => {
    const env = {
      PUBLIC_URL: "https://hv.example",
      SESSION_SECRET: randomBytes(32).toString("hex"),
      TOKEN_ENCRYPTION_KEY: randomBytes(32).toString("base64"),
    };
    await using t = await startApp(subject, { plugins: [users(), oauth()] }, { env });
    const metadata = (): Promise<Response> =>
      t.request("/oauth-client-metadata.json", { headers: { host: "hv.example" } });
    await t.app.db.run("ALTER TABLE happyview_oauth_keys RENAME TO out_of_reach");
    expect((await metadata()).status).toBe(500);
    await t.app.db.run("ALTER TABLE out_of_reach RENAME TO happyview_oauth_keys");
    const [first, second] = [await metadata(), await metadata()];
    expect(first.status).toBe(200);
    const shown = (await first.json()) as { jwks: { keys: object[] } };
    expect(shown.jwks.keys).toEqual([expect.objectContaining({ kty: "EC", crv: "P-256" })]);
    expect(await second.json()).toEqual(shown); // one key, whatever happened before
  },
);
