import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { connect, type Database } from "../../../core/db/database.ts";
import { createPrng } from "../../../playground/network/prng.ts";
import type { LabelInput } from "../../../playground/network/labeler.ts";
import { startServer, type Server } from "../../core/convergence/_process.ts";
import { databases } from "../../setup/databases.ts";
import { createAtmosphere, uriOf } from "./_bench.ts";

const program = fileURLToPath(new URL("_server.ts", import.meta.url));
const messages = 600;
const kills = 4;

/** Labels that come, change and go, in messages of one to four. */
function story(seed: number): LabelInput[][] {
  const prng = createPrng(`${seed}/story`);
  let second = 0;
  return Array.from({ length: messages }, () =>
    Array.from({ length: 1 + prng.int(4) }, (): LabelInput => {
      // Some are older than what came before.
      second += prng.chance(0.1) ? -30 : 1;
      const cts = new Date(Date.UTC(2026, 0, 1) + second * 1000).toISOString();
      return {
        uri: uriOf(`k${prng.int(80)}`),
        val: prng.pick(["spam", "rude"]),
        cts,
        ...(prng.chance(0.3) ? { neg: true as const } : {}),
      };
    }),
  );
}

/** What must be in force in the end: of each subject and value the newest, the later of two of one moment. */
function expectedOf(labels: readonly LabelInput[]): string[] {
  const newest = new Map<string, LabelInput>();
  for (const label of labels) {
    const key = `${label.uri} ${label.val}`;
    if ((label.cts ?? "") >= (newest.get(key)?.cts ?? "")) newest.set(key, label);
  }
  return [...newest]
    .filter(([, { neg }]) => !neg)
    .map(([key, { cts }]) => `${key} ${cts}`)
    .toSorted();
}

describe.each(databases())("a server on $name that is killed between messages", (subject) => {
  const children: Server[] = [];
  afterEach(async () => {
    for (const child of children.splice(0)) await child.kill("SIGKILL");
  });

  const cursorOf = async (db: Database): Promise<number> => {
    const rows = await db
      .all<{ cursor: number | null }>("SELECT cursor FROM happyview_labeler_subscriptions")
      .catch(() => []); // the server has not made its tables yet
    return rows[0]?.cursor ?? 0;
  };

  test("has every label in the end, and none twice or too old", { timeout: 120_000 }, async () => {
    const seed = 7;
    const prng = createPrng(`${seed}/kills`);
    const network = await createAtmosphere();
    const labeler = await network.createLabeler();
    const labels = story(seed);
    for (const message of labels) await labeler.emit(...message);
    const { url, drop } = await subject.open();
    const env = { DATABASE_URL: url, PLC_URL: network.plcUrl, LABELER: labeler.did };
    const start = (): Server => {
      const child = startServer(env, program);
      children.push(child);
      return child;
    };

    let child = start();
    const db = await connect({ url, maxConnections: 1 });
    const part = messages / kills;
    for (let i = 0; i < kills; i++) {
      const moment = i * part + 1 + prng.int(part - 1);
      await child.until(async () => (await cursorOf(db)) >= moment);
      await child.kill("SIGKILL");
      child = start();
    }
    await child.until(async () => (await cursorOf(db)) === messages);
    await child.kill("SIGKILL");

    const rows = await db.all<{ uri: string; val: string; cts: string }>(
      "SELECT uri, val, cts FROM happyview_labels",
    );
    expect(rows.map(({ uri, val, cts }) => `${uri} ${val} ${cts}`).toSorted()).toEqual(
      expectedOf(labels.flat()),
    );
    await db.close();
    await drop();
  });
});
