import { createStorage } from "unstorage";
import { describe, expect, test } from "vitest";
import { apiClients } from "../../../plugins/api-clients/index.ts";
import { rateLimits, type RateLimitsOptions } from "../../../plugins/rate-limits/index.ts";
import { adminHeaders, startApp, type TestApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { jsonBody, queryLexicon, recordLexicon } from "../../suites/http/subject.ts";
import { registerClient } from "../dpop-sessions/_device.ts";

const query = "org.example.list";
const start = Date.parse("2026-05-01T00:00:00Z");

interface Place extends TestApp {
  wait(seconds: number): void;
  ask(headers?: Record<string, string>, path?: string): Promise<Response>;
}

describe.each(databases())("rate limits on $name", (subject) => {
  async function open(options: RateLimitsOptions = {}, env: Record<string, string> = {}): Promise<Place> {
    let now = start;
    const running = await startApp(
      subject,
      {
        plugins: [apiClients(), rateLimits(options)],
        lexicons: { [query]: { targetCollection: "org.example.note" } },
        settings: { xrpc_proxy_config: '{"mode":"disabled"}' },
      },
      {
        env,
        now: () => now,
        files: {
          lexicons: [
            queryLexicon(query),
            queryLexicon("org.example.dear"),
            recordLexicon("org.example.note"),
          ].map((document) => ({
            path: `${String(document["id"])}.json`,
            name: String(document["id"]),
            text: JSON.stringify(document),
          })),
        },
      },
    );
    return {
      ...running,
      wait: (seconds) => void (now += seconds * 1000),
      ask: (headers = {}, path = `/xrpc/${query}`) => running.request(path, { headers }),
    };
  }
  const setting = (t: Place, key: string, value: string): Promise<Response> =>
    t.request(`/admin/settings/${key}`, jsonBody("PUT", { value }, adminHeaders));
  const withLimit = async (
    t: Place,
    capacity: number,
    refillRate: number,
  ): Promise<Record<string, string>> => {
    const limits = { rate_limit_capacity: capacity, rate_limit_refill_rate: refillRate };
    return { "x-client-key": (await registerClient(t, limits)).key };
  };
  const limitsOf = ({ headers }: Response): (number | null)[] =>
    ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"].map((name) => {
      const value = headers.get(name);
      return value === null ? null : Number(value);
    });

  test("let through what fits a bucket, say what is left, and refuse the rest until it has filled up", async () => {
    await using t = await open();
    const client = await withLimit(t, 3, 0.5);
    const at = start / 1000;
    expect(limitsOf(await t.ask(client))).toEqual([3, 2, at]);
    expect(limitsOf(await t.ask(client))).toEqual([3, 1, at + 2]);
    expect(limitsOf(await t.ask(client))).toEqual([3, 0, at + 4]);
    const refused = await t.ask(client);
    expect([refused.status, await refused.json()]).toEqual([
      429,
      { error: "RateLimited", message: "Too many requests" },
    ]);
    expect([limitsOf(refused), refused.headers.get("retry-after")]).toEqual([[3, 0, at + 6], "2"]);
    t.wait(2);
    expect((await t.ask(client)).status).toBe(200);
    expect((await t.ask(client)).status).toBe(429);
  });

  test("are of each client, by header or by query, and unknown keys have none", async () => {
    await using t = await open();
    const [one, other] = [await withLimit(t, 1, 0.1), await withLimit(t, 1, 0.1)];
    expect((await t.ask(one)).status).toBe(200);
    expect((await t.ask({}, `/xrpc/${query}?client_key=${one["x-client-key"]}`)).status).toBe(429);
    expect((await t.ask(other)).status).toBe(200);
    for (let i = 0; i < 5; i++)
      expect(limitsOf(await t.ask({ "x-client-key": "hvc_unknown" }))).toEqual([null, null, null]);
    expect(limitsOf(await t.ask())).toEqual([null, null, null]);
  });

  test("are the instance's for a client without its own, from its first request on", async () => {
    await using t = await open({}, { DEFAULT_RATE_LIMIT_CAPACITY: "2", DEFAULT_RATE_LIMIT_REFILL_RATE: "1" });
    const client = { "x-client-key": (await registerClient(t)).key };
    const statuses = [await t.ask(client), await t.ask(client), await t.ask(client)].map(
      ({ status }) => status,
    );
    expect(statuses).toEqual([200, 200, 429]);
  });

  test("count what a lexicon costs, else what its kind costs, errors too; an error says nothing of them", async () => {
    await using t = await open();
    const client = await withLimit(t, 10, 0.001);
    await t.request(
      "/admin/lexicons",
      jsonBody("POST", { lexicon_json: queryLexicon("org.example.dear"), token_cost: 5 }, adminHeaders),
    );
    const refused = await t.ask(client, "/xrpc/org.example.dear"); // it has no target collection
    expect([refused.status, limitsOf(refused)]).toEqual([400, [null, null, null]]);
    expect(limitsOf(await t.ask(client)).slice(0, 2)).toEqual([10, 4]);
    await setting(t, "rate_limit.default_query_cost", "3");
    expect(limitsOf(await t.ask(client)).slice(0, 2)).toEqual([10, 1]);
    await setting(t, "rate_limit.default_proxy_cost", "0");
    expect((await t.ask(client, "/xrpc/com.other.thing")).status).toBe(403);
    await setting(t, "rate_limit.default_query_cost", "1");
    expect((await t.ask(client)).status).toBe(200);
    expect((await t.ask(client, "/xrpc/org.example.note")).status).toBe(429); // a record lexicon costs one
  });

  test("of callers without a key are of their address, which a trusted proxy tells", async () => {
    await using t = await open({
      anonymous: { capacity: 1, refillRate: 0.1 },
      trustedProxies: ["10.0.0.0/8"],
    });
    const from = async (remoteAddress: string, forwarded?: string): Promise<number> => {
      const headers = new Headers({
        host: "localhost",
        ...(forwarded ? { "x-forwarded-for": forwarded } : {}),
      });
      const reply = await t.app.handle({
        method: "GET",
        url: `/xrpc/${query}`,
        headers,
        remoteAddress,
        arrayBuffer: async () => new ArrayBuffer(0),
      });
      return reply.status;
    };
    expect([await from("192.0.2.1"), await from("192.0.2.1"), await from("192.0.2.2")]).toEqual([
      200, 429, 200,
    ]);
    // What a stranger writes about himself changes nothing.
    expect(await from("192.0.2.1", "198.51.100.9")).toBe(429);
    expect(await from("::ffff:192.0.2.1")).toBe(429);
    expect([await from("10.0.0.1", "198.51.100.1"), await from("10.0.0.1", "198.51.100.2")]).toEqual([
      200, 200,
    ]);
    expect(await from("10.0.0.1", "203.0.113.7, 198.51.100.1, 10.0.0.2")).toBe(429);
    // The walk begins at the right, and ends at what is no address or none of our proxies.
    expect(await from("10.0.0.1", "198.51.100.3:4711")).toBe(200);
    expect(await from("10.0.0.1", "198.51.100.3:4712, 10.0.0.2:80")).toBe(429);
    expect(await from("10.0.0.1", "203.0.113.1, unknown")).toBe(200);
    expect(await from("10.0.0.1", "203.0.113.2, unknown, 10.0.0.2")).toBe(429);
    expect(await from("10.0.0.1")).toBe(429);
    // An IPv6 customer has more addresses than requests.
    expect(await from("2001:db8:0:1::1")).toBe(200);
    expect(await from("2001:0db8::1:1:2:3:4")).toBe(429);
    expect(await from("10.0.0.1", "[2001:DB8:0:1:ffff::]:443")).toBe(429);
    expect(await from("2001:db8:0:2::1")).toBe(200);
    expect([await from("::1"), await from("::2"), await from("1::")]).toEqual([200, 429, 200]);
    // A key that nobody registered is no way around it.
    expect((await t.ask({ "x-client-key": "hvc_1" })).status).toBe(200);
    expect((await t.ask({ "x-client-key": "hvc_2" })).status).toBe(429);
  });

  test("are shared by the processes that share a storage", async () => {
    const storage = createStorage();
    await using one = await open({ storage, anonymous: { capacity: 2, refillRate: 0.1 } });
    await using other = await open({ storage, anonymous: { capacity: 2, refillRate: 0.1 } });
    const statuses = [await one.ask(), await other.ask(), await one.ask(), await other.ask()].map(
      ({ status }) => status,
    );
    expect(statuses).toEqual([200, 200, 429, 429]);
  });

  test("go with the client's own", async () => {
    await using t = await open();
    const { id, key } = await registerClient(t, { rate_limit_capacity: 1, rate_limit_refill_rate: 0.01 });
    const client = { "x-client-key": key };
    await t.ask(client);
    expect((await t.ask(client)).status).toBe(429);
    await t.request(`/admin/api-clients/${id}`, { method: "DELETE", headers: adminHeaders });
    expect((await t.ask(client)).status).toBe(200);
  });
});
