import { AtpAgent } from "@atproto/api";
import { mockNetworkUtilities, TestPds, TestPlc } from "@atproto/dev-env";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { createApp, createLogger, type App } from "../../core/index.ts";
import { resolveConfig } from "../../core/config/resolve.ts";
import { backfill } from "../../plugins/backfill/index.ts";
import { firehose, type FirehoseOptions } from "../../plugins/firehose/index.ts";
import { adminHeaders, adminKey } from "../setup/app.ts";
import { buildIndigo, flags, start, startFront, startRelay, type Running } from "./_indigo.ts";

// The published PDS and PLC, and the network's own relay, collection directory and Tap: nothing between them is ours.
const collection = "xyz.statusphere.status";
const secret = "tap-password";

interface Verification {
  waiting: number;
  collections: unknown[];
}

const missing = await buildIndigo();

describe.skipIf(missing)(
  `the real relay, collection directory, Tap and PDS${missing ? ` (skipped: ${missing})` : ""}`,
  () => {
    let plc: TestPlc;
    let pds: TestPds;
    let tap: Running;
    let front: Running;
    let alice: AtpAgent & { did: string };
    let bob: AtpAgent & { did: string };
    const running: { stop(): Promise<void> }[] = [];
    const apps: App[] = [];

    beforeAll(async () => {
      plc = await TestPlc.create({});
      pds = await TestPds.create({ didPlcUrl: plc.url });
      mockNetworkUtilities(pds);
      const keep = async (starting: Promise<Running>): Promise<Running> => {
        const one = await starting;
        running.push(one);
        return one;
      };
      const relay = await keep(startRelay(pds.url, plc.url));
      const directory = await keep(
        start("collectiondir", ({ port, metricsPort, data }) => [
          "serve",
          ...flags({
            upstream: relay.url.replace("http:", "ws:"),
            pebble: `${data}/pebble`,
            "dau-directory": `${data}/dau`,
            "api-listen": `127.0.0.1:${port}`,
            "metrics-listen": `127.0.0.1:${metricsPort}`,
          }),
        ]),
      );
      front = await keep(startFront(relay.url, directory.url));

      // History: what was written before there was a Tap.
      alice = await account("alice");
      await put(alice, "3kaaaaaaaaaa2", "🐢");
      await put(alice, "3kaaaaaaaaab2", "🐌");
      await alice.com.atproto.repo.createRecord({
        repo: alice.did,
        collection: "com.example.untracked",
        record: { $type: "com.example.untracked" },
        validate: false,
      });
      await listed(alice.did);
      tap = await keep(
        start("tap", ({ port, data }) => [
          "run",
          ...flags({
            bind: `127.0.0.1:${port}`,
            "db-url": `sqlite://${data}/tap.db`,
            "plc-url": plc.url,
            "relay-url": front.url,
            "admin-password": secret,
            "signal-collection": collection,
            "collection-filters": collection,
            "retry-timeout": "2s",
          }),
        ]),
      );
    }, 120_000);

    afterEach(async () => {
      for (const app of apps.splice(0)) await app.close();
    });

    afterAll(async () => {
      for (const { stop } of running.toReversed()) await stop();
      await pds?.close();
      await plc?.close();
    });

    async function account(name: string): Promise<AtpAgent & { did: string }> {
      const agent = new AtpAgent({ service: pds.url });
      const password = `${name}-password`;
      await agent.createAccount({ handle: `${name}.test`, email: `${name}@example.com`, password });
      return agent as AtpAgent & { did: string }; // createAccount has set it
    }

    async function put(agent: AtpAgent & { did: string }, rkey: string, status: string): Promise<void> {
      const record = { $type: collection, status, createdAt: new Date().toISOString() };
      await agent.com.atproto.repo.putRecord({ repo: agent.did, collection, rkey, record, validate: false });
    }

    async function startApp(options: FirehoseOptions, database = ":memory:"): Promise<App> {
      const env = {
        DATABASE_URL: database,
        PLC_URL: plc.url,
        RELAY_URL: front.url,
        TAP_ADMIN_PASSWORD: secret,
        HAPPYVIEW_ADMIN_KEY: adminKey,
      };
      const lexicon = {
        lexicon: 1,
        id: collection,
        defs: { main: { type: "record", key: "tid", record: {} } },
      };
      const app = await createApp({
        config: resolveConfig({ plugins: [backfill(), firehose(options)] }, { mode: "test", root: ".", env }),
        log: createLogger({ level: "error" }),
        files: {
          lexicons: [{ path: `${collection}.json`, name: collection, text: JSON.stringify(lexicon) }],
        },
      });
      apps.push(app);
      return app;
    }

    async function statuses(app: App): Promise<string[]> {
      const rows = await app.db.all<{ record: string }>("SELECT record FROM happyview_records");
      return rows.map(({ record }) => (JSON.parse(record) as { status: string }).status).toSorted();
    }

    const shows = (app: App, ...expected: string[]): Promise<void> =>
      eventually(async () => expect(await statuses(app)).toEqual(expected.toSorted()));

    it("brings history and what comes live, takes acks, and tells of accounts", async () => {
      const app = await startApp({
        source: "tap",
        url: tap.url,
        verify: "sampled",
        sampleShare: 1,
        samplePace: { delayMs: 0, gapMs: 0, tickMs: 10 },
        random: () => 0,
      });
      await shows(app, "🐢", "🐌");
      // Live, also of an account that Tap did not know.
      bob = await account("bob");
      await put(bob, "3kaaaaaaaaaa2", "🐇");
      await put(alice, "3kaaaaaaaaaa2", "🐙");
      await alice.com.atproto.repo.deleteRecord({ repo: alice.did, collection, rkey: "3kaaaaaaaaab2" });
      await shows(app, "🐙", "🐇");
      // All is acknowledged: Tap has nothing left to send.
      await eventually(async () => {
        const headers = { authorization: `Basic ${Buffer.from(`admin:${secret}`).toString("base64")}` };
        const response = await fetch(`${tap.url}/stats/outbox-buffer`, { headers });
        expect(await response.json()).toEqual({ outbox_buffer: 0 });
      });
      // The accounts' own PDS proves each of them.
      await eventually(async () => {
        const answer = await admin<Verification>(app, "/firehose/verification");
        expect(answer.waiting).toBe(0);
        expect(answer.collections).toEqual([
          expect.objectContaining({ collection, failed: 0, unavailable: 0, verified_percent: 100 }),
        ]);
      });

      await bob.com.atproto.server.deactivateAccount({});
      await shows(app, "🐙");
      await bob.com.atproto.server.activateAccount();
      await shows(app, "🐙", "🐇");
      await new AtpAgent({ service: pds.url }).com.atproto.admin.deleteAccount(
        { did: alice.did },
        { headers: pds.adminAuthHeaders(), encoding: "application/json" },
      );
      await shows(app, "🐇");
    });

    it("repeats nothing that was acknowledged to the next reader, and the relay can be read as well", async () => {
      const fromRelay = await startApp({ source: "relay" });
      const fromTap = await startApp({ source: "tap", url: tap.url });
      await connected(fromRelay);
      await connected(fromTap);
      await put(bob, "3kaaaaaaaaac2", "🦊");
      await shows(fromRelay, "🦊");
      await shows(fromTap, "🦊");
    });

    it.each(["listRecords", "getRepo"])(
      "history through the directory and the PDS by %s, beside the live relay, is what Tap has",
      async (method) => {
        const carol = await account(`carol-${method.toLowerCase()}`);
        for (const [rkey, status] of [
          ["3kaaaaaaaaaa2", "🐇"],
          ["3kaaaaaaaaab2", "🐌"],
          ["3kaaaaaaaaac2", "🐢"],
        ] as const)
          await put(carol, rkey, status);
        await listed(bob.did, carol.did);
        const app = await startApp({ source: "relay" });
        const fromTap = await startApp({ source: "tap", url: tap.url });
        await connected(app);
        const { id } = await admin<{ id: string }>(app, "/backfill", { collection, method });
        // What comes live meanwhile is newer than what the job reads, whichever arrives first.
        await put(carol, "3kaaaaaaaaaa2", "🐙");
        await carol.com.atproto.repo.deleteRecord({ repo: carol.did, collection, rkey: "3kaaaaaaaaab2" });
        await put(carol, "3kaaaaaaaaad2", "🦊");
        // The directory still lists alice, who is gone: the job says so, and has all the others.
        await eventually(async () =>
          expect(await admin(app, `/backfill/${id}`)).toMatchObject({
            status: "completed",
            plan: { method },
            error_counts: { repo_not_found: 1 },
          }),
        );
        const ofCarol = ["3kaaaaaaaaaa2 🐙", "3kaaaaaaaaac2 🐢", "3kaaaaaaaaad2 🦊"];
        for (const one of [app, fromTap])
          await eventually(async () => expect(await recordsOf(one, carol.did)).toEqual(ofCarol));
        expect(await recordsOf(app, bob.did)).toEqual(["3kaaaaaaaaaa2 🐇", "3kaaaaaaaaac2 🦊"]);
        expect(await recordsOf(app, alice.did)).toEqual([]);
      },
    );

    async function listed(...dids: string[]): Promise<void> {
      const url = `${front.url}/xrpc/com.atproto.sync.listReposByCollection?collection=${collection}`;
      await eventually(async () => {
        const { repos } = (await (await fetch(url)).json()) as { repos: { did: string }[] };
        expect(repos.map(({ did }) => did)).toEqual(expect.arrayContaining(dids));
      });
    }

    async function admin<T>(app: App, path: string, body?: object): Promise<T> {
      const init = body ? { method: "POST", body: JSON.stringify(body) } : {};
      const headers = { ...adminHeaders, "content-type": "application/json" };
      const response = await app.fetch(new Request(`http://localhost/admin${path}`, { ...init, headers }));
      return (await response.json()) as T;
    }

    async function recordsOf(app: App, did: string): Promise<string[]> {
      const sql = "SELECT rkey, record FROM happyview_records WHERE did = ? ORDER BY rkey";
      const rows = await app.db.all<{ rkey: string; record: string }>(sql, [did]);
      return rows.map(({ rkey, record }) => `${rkey} ${(JSON.parse(record) as { status: string }).status}`);
    }

    async function connected(app: App): Promise<void> {
      await eventually(async () => {
        const response = await app.fetch(new Request("http://localhost/health/ready"));
        expect(await response.json()).toMatchObject({ checks: { stream: { detail: { connected: true } } } });
      });
    }
  },
);

async function eventually(check: () => Promise<void>): Promise<void> {
  await vi.waitFor(check, { timeout: 40_000, interval: 100 });
}
