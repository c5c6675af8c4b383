import { afterEach, expect, test, vi } from "vitest";
import { connect, type Database } from "../../../core/db/database.ts";
import { migrate } from "../../../core/db/migrate.ts";
import { coreMigrations } from "../../../core/db/migrations.ts";
import { createFaults } from "../../../playground/network/faults.ts";
import { startJetstream, type Jetstream } from "../../../playground/network/jetstream.ts";
import { createPrng } from "../../../playground/network/prng.ts";
import { startServer, type Server } from "../../core/convergence/_process.ts";
import { differences, expectedTable, hardStream, tableOf } from "../../core/convergence/_stream.ts";
import { databases, type DatabaseSubject } from "../../setup/databases.ts";
import { silent } from "../../setup/log.ts";
import { firehose } from "../../../plugins/firehose/index.ts";
import { fakeServer } from "./fake-server.ts";
import { commitFrame, noteUri, testApp } from "./fixture.ts";

const [, postgres] = databases() as [DatabaseSubject, DatabaseSubject];
const eventually = <T>(check: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(check, { timeout: 20_000, interval: 10 });

const children: Server[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) await child.kill("SIGKILL");
});

const positionOf = async (db: Database): Promise<number> =>
  Number(
    (
      await db.get<{ position: string }>(
        "SELECT position FROM happyview_stream_positions WHERE source LIKE 'jetstream:%'",
      )
    )?.position ?? 0,
  );

async function openDatabase() {
  const { url, drop } = await postgres.open();
  const db = await connect({ url, maxConnections: 2 });
  await migrate(db, [{ name: "core", migrations: coreMigrations }], silent);
  return { url, db, drop };
}

/** Positions are looked at all the time: none may be less than the one before. */
function watchPosition(db: Database) {
  const seen: number[] = [];
  const backwards: string[] = [];
  return {
    backwards,
    async look(): Promise<number> {
      const position = await positionOf(db);
      const last = seen.at(-1) ?? 0;
      if (position < last) backwards.push(`${last} → ${position}`);
      seen.push(position);
      return position;
    },
  };
}

test("one of three processes reads; each that is killed in mid stream is replaced, and nothing is lost", async () => {
  const seed = 21;
  const { url, db, drop } = await openDatabase();
  const events = hardStream(seed);
  const jetstream: Jetstream = await startJetstream({
    faults: createFaults(createPrng(`${seed}/faults`)),
    prng: createPrng(`${seed}/sockets`),
  });
  const start = (): Server => {
    const child = startServer({ DATABASE_URL: url, JETSTREAM_URL: jetstream.url });
    children.push(child);
    return child;
  };
  const epochOf = async (): Promise<number> =>
    (await db.get<{ epoch: number }>("SELECT epoch FROM happyview_leads WHERE name = 'firehose'"))?.epoch ??
    0;

  // The next one starts when the one before leads, so that it is known who does.
  const servers = [start()];
  await servers[0]?.until(async () => jetstream.clients > 0);
  servers.push(start(), start());
  const lines = events.map((event) => JSON.stringify(event));
  const part = Math.ceil(lines.length / 3);
  const { look, backwards } = watchPosition(db);
  let most = 0;
  const reach = (server: Server | undefined, position: number): Promise<void> | undefined =>
    server?.until(async () => {
      most = Math.max(most, jetstream.clients);
      return (await look()) >= position;
    });

  await jetstream.load(lines.slice(0, part));
  await reach(servers[1], events[Math.floor(part / 2)]?.time_us ?? 0);
  await servers[0]?.kill("SIGKILL");
  await jetstream.load(lines.slice(part, 2 * part));
  await reach(servers[1], events[part + 10]?.time_us ?? 0);
  expect(await epochOf()).toBe(2);
  const [{ pid } = { pid: 0 }] = await db.all<{ pid: number }>(
    `SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
     WHERE l.locktype = 'advisory' AND l.classid = 1281 AND l.granted AND a.datname = current_database()`,
  );
  expect(pid).toBeGreaterThan(0);
  // The leader of now loses its connection instead: it lives on, and either of the two may lead next.
  await db.get("SELECT pg_terminate_backend(?)::text AS done", [pid]);
  await jetstream.load(lines.slice(2 * part));
  await reach(servers[1], events.at(-1)?.time_us ?? 0);
  expect(await epochOf()).toBe(3);

  expect(most).toBe(1);
  expect(backwards).toEqual([]);
  for (const server of servers.slice(1)) expect(await server.kill("SIGTERM")).toBe(0);
  expect(differences(await tableOf(db), expectedTable(events))).toEqual([]);
  await db.close();
  await jetstream.close();
  await drop();
}, 240_000);

test("a follower says so, and takes over within seconds when the leader closes", async () => {
  const { url, db, drop } = await openDatabase();
  await using server = await fakeServer();
  const options = { url: server.url, random: () => 0 };
  const first = await testApp(firehose(options), { database: url });
  await eventually(() => expect(server.connections).toHaveLength(1));
  const second = await testApp(firehose(options), { database: url });
  expect(await second.ready()).toMatchObject({
    status: 200,
    stream: { ok: true, detail: { role: "follower" } },
  });
  expect(await second.metrics()).toContain('happyview_leader{name="firehose"} 0');
  expect(await second.metrics()).toContain("happyview_firehose_connected 0");
  server.push(commitFrame("one"));
  await eventually(async () => expect(await second.stored(noteUri("one"))).toBeDefined());
  await first.app.close();
  server.push(commitFrame("two"));
  await eventually(async () => expect(await second.stored(noteUri("two"))).toBeDefined());
  expect(await second.ready()).toMatchObject({
    stream: { ok: true, detail: { role: "leader", connected: true } },
  });
  expect(await second.metrics()).toContain('happyview_leader{name="firehose"} 1');
  await second.app.close();
  await db.close();
  await drop();
});

test("a leader that is killed before its first event leaves a place to begin", async () => {
  const { url, db, drop } = await openDatabase();
  await using server = await fakeServer();
  const child = startServer({ DATABASE_URL: url, JETSTREAM_URL: server.url });
  children.push(child);
  await child.until(async () => server.connections.length > 0);
  await child.kill("SIGKILL");
  server.cut();
  await using t = await testApp(firehose({ url: server.url, random: () => 0 }), { database: url });
  await eventually(() => expect(server.connections).toHaveLength(2));
  expect(server.connections[0]?.url.searchParams.has("cursor")).toBe(false);
  expect(server.connections[1]?.url.searchParams.has("cursor")).toBe(true);
  await t.app.close();
  await db.close();
  await drop();
});
