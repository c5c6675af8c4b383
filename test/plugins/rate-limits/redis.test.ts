import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createStorage, type Storage } from "unstorage";
import redisDriver from "unstorage/drivers/redis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { apiClients } from "../../../plugins/api-clients/index.ts";
import { rateLimits } from "../../../plugins/rate-limits/index.ts";
import { startApp, type TestApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { freePort } from "../../setup/port.ts";
import { queryLexicon } from "../../suites/http/subject.ts";
import { registerClient } from "../dpop-sessions/_device.ts";

/** A real one, where the machine has it. */
function hasRedis(): boolean {
  try {
    execFileSync("redis-server", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

describe.runIf(hasRedis())("rate limits in Redis", () => {
  let redis: ChildProcess;
  let url: string;
  const storages: Storage[] = [];

  beforeAll(async () => {
    const port = await freePort();
    url = `redis://127.0.0.1:${port}`;
    redis = spawn("redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--save", ""], {
      stdio: "ignore",
    });
    while (!(await isListening(port))) await sleep(20);
  });

  afterAll(async () => {
    await Promise.all(storages.map((storage) => storage.dispose()));
    redis.kill();
    await once(redis, "exit");
  });

  /** One of several processes on a database, each with its own connection to Redis. */
  async function start(database: string): Promise<TestApp> {
    const storage = createStorage({ driver: redisDriver({ url, base: "happyview" }) });
    storages.push(storage);
    const [sqlite] = databases();
    const document = queryLexicon("org.example.list");
    return startApp(
      { name: sqlite!.name, open: async () => ({ url: database, drop: async () => {} }) },
      {
        plugins: [apiClients(), rateLimits({ storage })],
        settings: { xrpc_proxy_config: '{"mode":"disabled"}' },
        lexicons: { "org.example.list": { targetCollection: "org.example.note" } },
      },
      {
        files: {
          lexicons: [
            { path: "org.example.list.json", name: "org.example.list", text: JSON.stringify(document) },
          ],
        },
      },
    );
  }

  test("are shared by processes, outlive them, and do not stay for ever", async () => {
    const { url: database, drop } = await databases()[0]!.open();
    const [one, other] = [await start(database), await start(database)];
    const limits = { rate_limit_capacity: 3, rate_limit_refill_rate: 0.001 };
    const { key } = await registerClient(one, limits);
    const ask = async (t: TestApp): Promise<[number, string | null]> => {
      const answer = await t.request("/xrpc/org.example.list", { headers: { "x-client-key": key } });
      return [answer.status, answer.headers.get("ratelimit-remaining")];
    };
    expect((await ask(one))[1]).toBe("2");
    expect((await ask(other))[1]).toBe("1");
    expect((await ask(one))[1]).toBe("0");
    expect(await ask(other)).toEqual([429, "0"]);
    await one.stop();
    const later = await start(database);
    expect(await ask(later)).toEqual([429, "0"]);

    const [storage] = storages;
    const client = redisDriver({ url, base: "happyview" }).getInstance?.();
    const [name = ""] = await storage!.getKeys("rate-limit");
    expect(name).toContain(key);
    expect(await client?.ttl(`happyview:${name}`)).toBeGreaterThan(0);
    client?.disconnect();
    await later.stop();
    await other.stop();
    await drop();
  });
});

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    }).on("error", () => resolve(false));
  });
}
