import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { apiClients } from "../../../plugins/api-clients/index.ts";
import { dpopSessions } from "../../../plugins/dpop-sessions/index.ts";
import { rateLimits } from "../../../plugins/rate-limits/index.ts";
import { startApp, type TestApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { clientHeaders, encryptionKey, openDevice, registerClient, type TestClient } from "./_device.ts";

const minutes = 60_000;

describe.each(databases())("provisioned keys on $name", (subject) => {
  let network: Network;
  let later = 0;

  beforeAll(async () => {
    network = await createNetwork({ seed: 62 });
  });
  afterAll(() => network.close());

  const start = (): Promise<TestApp> =>
    startApp(
      subject,
      { plugins: [dpopSessions({ verifyTokens: false, sweepEveryMs: 30 }), rateLimits(), apiClients()] },
      {
        env: { TOKEN_ENCRYPTION_KEY: encryptionKey, PLC_URL: network.plcUrl },
        now: () => Date.now() + later,
      },
    );
  const provision = (t: TestApp, client: TestClient): Promise<Response> =>
    t.request("/oauth/dpop-keys", { method: "POST", headers: clientHeaders(client), body: "{}" });
  const count = async ({ app }: TestApp): Promise<number> =>
    Number((await app.db.get<{ n: number }>("SELECT count(*) AS n FROM happyview_dpop_keys"))?.n);

  test("go after two hours without a session, and stay with one", async () => {
    later = 0;
    await using t = await start();
    const client = await registerClient(t, { rate_limit_capacity: 1000, rate_limit_refill_rate: 1 });
    const device = await openDevice(t, client, (await network.createAccount()).did);
    for (let i = 0; i < 250; i++) await provision(t, client);
    later = 119 * minutes;
    await provision(t, client);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await count(t)).toBe(252);
    later = 121 * minutes;
    await expect.poll(() => count(t)).toBe(2);
    const fresh = { claims: { iat: Math.floor((Date.now() + later) / 1000) } };
    expect((await device.ask("GET", `/oauth/sessions/${device.did}`, fresh)).status).toBe(200);
  });

  test("cost the client, as everything under /oauth", async () => {
    later = 0;
    await using t = await start();
    const client = await registerClient(t, { rate_limit_capacity: 2, rate_limit_refill_rate: 0.001 });
    const first = await provision(t, client);
    expect([first.status, first.headers.get("ratelimit-remaining")]).toEqual([201, "1"]);
    const wrong = await t.request("/oauth/sessions", {
      method: "POST",
      headers: clientHeaders(client),
      body: "{}",
    });
    expect(wrong.status).toBe(400);
    const refused = await provision(t, client);
    expect([refused.status, await refused.json()]).toEqual([
      429,
      { error: "RateLimited", message: "Too many requests" },
    ]);
    expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
  });
});
