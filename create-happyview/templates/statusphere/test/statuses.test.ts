import { createApp, createLogger, loadConfig, readProject, type App } from "happyview";
import { afterAll, beforeAll, expect, test } from "vitest";

const alice = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
const bob = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb";
const createdAt = "2026-01-01T12:00:00.000Z";
let app: App;

// This project as it is deployed, with a database of its own and without the network.
beforeAll(async () => {
  const { config } = await loadConfig({ mode: "test", env: { DATABASE_URL: ":memory:" } });
  const log = createLogger({ level: "silent" });
  app = await createApp({ config, files: await readProject(config.root), background: false, log });
  await publish(alice, "3lbdaaaaaaa2a", { status: "🙂", createdAt, mood: "not in the lexicon" });
  await publish(bob, "3lbdaaaaaaa2b", { status: "🙂", createdAt });
  await publish(bob, "3lbdaaaaaaa2c", { status: "🦋", createdAt });
  await publish(bob, "3lbdaaaaaaa2d", { status: "", createdAt });
  await app.records.pipeline.flush();
});

afterAll(() => app?.close());

test("the statuses of one account are listed with the fields of the lexicon", async () => {
  expect(await query(`xyz.statusphere.listStatuses?did=${alice}`)).toEqual({
    records: [
      {
        $type: "xyz.statusphere.status",
        uri: `at://${alice}/xyz.statusphere.status/3lbdaaaaaaa2a`,
        status: "🙂",
        createdAt,
      },
    ],
  });
});

test("emojis are counted, empty statuses are not", async () => {
  expect(await query("xyz.statusphere.countByEmoji")).toEqual({ counts: { "🙂": 2, "🦋": 1 } });
});

async function query(method: string): Promise<unknown> {
  const response = await app.fetch(new Request(`http://localhost/xrpc/${method}`));
  expect(response.status).toBe(200);
  return response.json();
}

/** What the stream does when an account writes a status. */
async function publish(did: string, rkey: string, fields: Record<string, unknown>): Promise<void> {
  const collection = "xyz.statusphere.status";
  const record = { $type: collection, ...fields };
  await app.records.pipeline.ingest({
    kind: "commit",
    action: "create",
    did,
    collection,
    rkey,
    rev: rkey,
    record,
    cid: "",
  });
}
