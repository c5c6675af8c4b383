import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { firehose } from "../../../plugins/firehose/index.ts";
import { fakeRelay, openRepo } from "./fake-relay.ts";
import { bob, noteUri, testApp, type TestApp } from "./fixture.ts";

const folder = mkdtempSync(join(tmpdir(), "happyview-strangers-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const quick = { source: "relay", random: () => 0 } as const;
const eventually = (check: () => void | Promise<void>): Promise<void> =>
  vi.waitFor(check, { timeout: 8000, interval: 10 });

/** The host of one did:web account, which takes requests and answers none before it is told to. */
async function silentHost(keys: Map<string, string>) {
  const asked: ServerResponse[] = [];
  const server = createServer((_, response) => void asked.push(response));
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address() as AddressInfo; // a listening TCP server has a port
  const did = `did:web:127.0.0.1%3A${port}`;
  const commit = await (await openRepo(did, keys)).create("first");
  return {
    did,
    commit,
    asked,
    answer() {
      const publicKeyMultibase = keys.get(did)?.slice("did:key:".length);
      const key = { id: `${did}#atproto`, type: "Multikey", controller: did, publicKeyMultibase };
      for (const response of asked) response.end(JSON.stringify({ id: did, verificationMethod: [key] }));
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

const position = (t: TestApp, { url }: { url: string }): Promise<string | undefined> =>
  t.app.records.pipeline.position(`relay:${new URL(url).host}`);

test("twenty silent hosts of did:web accounts keep nobody else waiting, and lose nothing", async () => {
  await using relay = await fakeRelay();
  await using hosts = new AsyncDisposableStack();
  const strangers: Awaited<ReturnType<typeof silentHost>>[] = [];
  for (let i = 0; i < 20; i++) strangers.push(hosts.use(await silentHost(relay.keys)));
  const known = await openRepo(bob, relay.keys);
  const options = { plcUrl: relay.plcUrl, database: `file:${join(folder, "silent.db")}` };
  const uris = strangers.map(({ did }) => noteUri("first", did));
  {
    await using t = await testApp(firehose({ url: relay.url, ...quick }), options);
    await eventually(() => expect(relay.server.connections).toHaveLength(1));
    relay.account(bob, "active");
    // One after the other: the next one speaks when the one before is being waited for.
    for (const [i, { did, commit, asked }] of strangers.entries()) {
      relay.commit(did, commit);
      await eventually(() => expect(asked).toHaveLength(1));
      relay.commit(bob, await known.create(`r${i}`));
      await eventually(async () => expect(await t.stored(noteUri(`r${i}`, bob))).toBeDefined());
    }
    // All of them still wait, and a restart would read them anew.
    expect(t.log.map(({ type }) => type)).not.toContain("record.unverified");
    await eventually(async () => expect(await position(t, relay)).toBe("1"));
  }
  await using t = await testApp(firehose({ url: relay.url, ...quick }), options);
  await eventually(() => expect(relay.server.connections).toHaveLength(2));
  expect(relay.server.connections[1]?.url.searchParams.get("cursor")).toBe("1");
  for (const { did, commit } of strangers) relay.commit(did, commit);
  await eventually(() => expect(strangers.every(({ asked }) => asked.length === 2)).toBe(true));
  for (const { answer } of strangers) answer();
  await eventually(async () => {
    for (const uri of uris) expect(await t.stored(uri), uri).toBeDefined();
    expect(await position(t, relay)).toBe(String(relay.seq()));
  });
});
