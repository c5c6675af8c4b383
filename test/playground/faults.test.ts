import { afterEach, beforeEach, expect, it } from "vitest";
import { WebSocket } from "ws";
import type { Account } from "../../playground/network/account.ts";
import type { FaultRule, SocketFault } from "../../playground/network/faults.ts";
import { createNetwork, type Network } from "../../playground/network/network.ts";
import { collect, opened } from "./_sockets.ts";

const collection = "xyz.statusphere.status";
const eventCount = 12;

let network: Network;
let alice: Account;
beforeEach(async () => {
  network = await createNetwork();
  alice = await network.createAccount();
  // Two events announced the account.
  for (let n = 2; n < eventCount; n++) await alice.create(collection, { n });
});
afterEach(() => network.close());

const list = (): Promise<Response> =>
  fetch(
    `${network.pds[0]?.url}/xrpc/com.atproto.repo.listRecords?repo=${alice.did}&collection=${collection}`,
    { redirect: "manual" },
  );

async function withRule<Result>(rule: FaultRule, act: () => Promise<Result>): Promise<Result> {
  const remove = network.faults.add(rule);
  const result = await act();
  remove();
  return result;
}

it("answers with a status and headers for a number of times", async () => {
  network.faults.add({
    service: "pds",
    method: "com.atproto.repo.listRecords",
    status: 429,
    headers: { "Retry-After": "1" },
    times: 2,
  });
  const answers = [await list(), await list(), await list()];
  expect(answers.map(({ status }) => status)).toEqual([429, 429, 200]);
  expect(answers[0]?.headers.get("retry-after")).toBe("1");
  expect(await answers[0]?.json()).toMatchObject({ error: "RateLimitExceeded" });
});

it("matches by service, host, method and DID", async () => {
  network.faults.add({ service: "relay", status: 500 });
  network.faults.add({ service: "pds", host: 1, status: 500 });
  network.faults.add({ method: "com.atproto.sync.getRepo", status: 500 });
  network.faults.add({ did: "did:plc:other", status: 500 });
  expect((await list()).status).toBe(200);
  expect((await fetch(`${network.relayUrl}/xrpc/com.atproto.sync.listRepos`)).status).toBe(500);
  network.faults.clear();
  expect((await fetch(`${network.relayUrl}/xrpc/com.atproto.sync.listRepos`)).status).toBe(200);
  network.faults.add({ service: "plc", did: alice.did, status: 503 });
  expect((await fetch(`${network.plcUrl}/${alice.did}`)).status).toBe(503);
});

it("fails a seeded share of requests", async () => {
  network.faults.add({ service: "pds", share: 0.5, status: 502 });
  const statuses: number[] = [];
  for (let n = 0; n < 20; n++) statuses.push((await list()).status);
  expect(new Set(statuses)).toEqual(new Set([200, 502]));
});

it("waits, cuts the body, answers wrong JSON or redirects", async () => {
  expect(
    await withRule({ service: "pds", latencyMs: { min: 1, max: 3 } }, async () => (await list()).status),
  ).toBe(200);
  await expect(
    withRule({ service: "pds", truncateAfter: 10, times: 1 }, async () => (await list()).text()),
  ).rejects.toThrow("terminated");
  await expect(
    withRule({ service: "pds", wrongJson: true, times: 1 }, async () => (await list()).json()),
  ).rejects.toThrow(SyntaxError);
  const redirected = await withRule({ service: "pds", redirect: "http://127.0.0.1:1/", times: 1 }, list);
  expect([redirected.status, redirected.headers.get("location")]).toEqual([302, "http://127.0.0.1:1/"]);
});

it("refuses an upgrade", async () => {
  network.faults.add({ service: "jetstream", status: 503, times: 1 });
  await expect(opened(`${network.jetstreamUrl}/subscribe`)).rejects.toThrow("503");
  (await opened(`${network.jetstreamUrl}/subscribe`)).close();
});

it("ends a socket after so many events, cleanly or not", async () => {
  const under = async (socket: SocketFault): Promise<[number, number]> => {
    const { messages, code } = await withRule({ service: "jetstream", socket, times: 1 }, () =>
      collect(`${network.jetstreamUrl}/subscribe?cursor=0`, eventCount),
    );
    return [messages.length, code];
  };
  expect(await under({ disconnectAfter: 3 })).toEqual([3, 1006]);
  expect(await under({ closeAfter: 4 })).toEqual([4, 1000]);
});

it("stalls: connected, silent, no answer to pings", async () => {
  network.faults.add({ service: "jetstream", socket: { stallAfter: 2 } });
  const ws = new WebSocket(`${network.jetstreamUrl}/subscribe?cursor=0`);
  let heard = 0;
  ws.on("message", () => heard++).on("pong", () => heard++);
  while (heard < 2) await new Promise((resolve) => setImmediate(resolve));
  ws.ping();
  await alice.create(collection, { n: 99 });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect([heard, ws.readyState]).toEqual([2, ws.OPEN]);
  network.jetstream.disconnect();
  await new Promise((resolve) => ws.once("close", resolve));
});

it("duplicates, drops and reorders", async () => {
  const received = async (socket: SocketFault, count: number, did?: string): Promise<string[]> => {
    const rule = { service: "jetstream" as const, socket, ...(did ? { did } : {}) };
    const { messages } = await withRule(rule, () =>
      collect(`${network.jetstreamUrl}/subscribe?cursor=0`, count),
    );
    return messages.map(String);
  };
  const plain = await received({}, eventCount);
  expect(await received({ duplicate: 1 }, 6)).toEqual(plain.slice(0, 3).flatMap((event) => [event, event]));
  const reordered = await received({ reorder: 4 }, eventCount);
  expect(reordered).not.toEqual(plain);
  expect(reordered.slice(0, 4).toSorted()).toEqual(plain.slice(0, 4).toSorted());
  expect(reordered.toSorted()).toEqual(plain.toSorted());
  const bob = await network.createAccount();
  expect(await received({ drop: 1 }, 2, alice.did)).toEqual([
    expect.stringContaining(bob.did),
    expect.stringContaining(bob.did),
  ]);
});

it("mistreats the relay's sockets alike", async () => {
  network.faults.add({ service: "relay", socket: { disconnectAfter: 2 } });
  const url = `${network.relayUrl.replace("http", "ws")}/xrpc/com.atproto.sync.subscribeRepos?cursor=0`;
  expect((await collect(url, eventCount)).messages).toHaveLength(2);
});
