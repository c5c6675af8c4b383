import { afterEach, describe, expect, test } from "vitest";
import type { Database } from "../../../core/db/database.ts";
import type { JetstreamEvent } from "../../../playground/network/event.ts";
import { createFaults, type Faults } from "../../../playground/network/faults.ts";
import { startJetstream } from "../../../playground/network/jetstream.ts";
import { createPrng, type Prng } from "../../../playground/network/prng.ts";
import { connect } from "../../../core/db/database.ts";
import { migrate } from "../../../core/db/migrate.ts";
import { coreMigrations } from "../../../core/db/migrations.ts";
import { databases } from "../../setup/databases.ts";
import { silent } from "../../setup/log.ts";
import { startServer, type Server } from "./_process.ts";
import { differences, expectedTable, hardStream, tableOf } from "./_stream.ts";

const kills = 5;

describe.each(databases())("a server on $name that is killed, and cut off", (subject) => {
  let child: Server | undefined;
  afterEach(() => child?.kill("SIGKILL"));

  test("ends with what the oracle says after 20,000 events", { timeout: 240_000 }, async () => {
    const seed = 5;
    const prng = createPrng(`${seed}/kills`);
    const faults = createFaults(createPrng(`${seed}/faults`));
    const events = hardStream(seed);
    const expected = expectedTable(events);
    const { url, drop } = await subject.open();
    const db = await connect({ url, maxConnections: 2 });
    await migrate(db, [{ name: "core", migrations: coreMigrations }], silent);
    const jetstream = await startJetstream({ faults, prng: createPrng(`${seed}/sockets`) });
    const env = { DATABASE_URL: url, JETSTREAM_URL: jetstream.url };
    cutOff(faults, prng);

    child = startServer(env);
    // Without a position a consumer begins at the tip: it has to be there before the first event is.
    await child.until(async () => jetstream.clients > 0);
    await jetstream.load(events.map((event) => JSON.stringify(event)));
    for (const moment of moments(prng, events)) {
      await child.until(async () => (await positionOf(db)) >= moment);
      await child.kill("SIGKILL");
      child = startServer(env);
    }
    const last = events.at(-1)?.time_us ?? 0;
    await child.until(async () => (await positionOf(db)) >= last);
    expect(await child.kill("SIGTERM")).toBe(0);

    expect(differences(await tableOf(db), expected)).toEqual([]);
    await db.close();
    await jetstream.close();
    await drop();
  });
});

/** Connections that are cut after some hundred events, some of which come twice. */
function cutOff(faults: Faults, prng: Prng): void {
  for (let i = 0; i < 12; i++)
    faults.add({
      service: "jetstream",
      times: 1,
      socket: { disconnectAfter: 500 + prng.int(3000), duplicate: 0.02 },
    });
}

/** Positions at which the server is killed, each somewhere in a part of the stream of its own. */
function moments(prng: Prng, events: readonly JetstreamEvent[]): number[] {
  const part = Math.floor(events.length / kills);
  return Array.from({ length: kills }, (_, i) => events[i * part + prng.int(part)]?.time_us ?? 0);
}

async function positionOf(db: Database): Promise<number> {
  const row = await db.get<{ position: string }>(
    "SELECT position FROM happyview_stream_positions WHERE source LIKE 'jetstream:%'",
  );
  return Number(row?.position ?? 0);
}
