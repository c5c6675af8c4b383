import { createApp, createLogger, loadConfig, readProject, type App } from "happyview";
import { afterAll, beforeAll, expect, test } from "vitest";

const alice = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
let app: App;

// This project as it is deployed, with a database of its own and without the network.
beforeAll(async () => {
  const { config } = await loadConfig({ mode: "test", env: { DATABASE_URL: ":memory:" } });
  const log = createLogger({ level: "silent" });
  app = await createApp({ config, files: await readProject(config.root), background: false, log });
});

afterAll(() => app?.close());

test("a note of the network is listed, trimmed, and an empty one is not", async () => {
  await publish("3lbdaaaaaaa2a", "  Hello, world  ");
  await publish("3lbdaaaaaaa2b", "   ");
  await app.records.pipeline.flush();

  const response = await app.fetch(new Request("http://localhost/xrpc/com.example.listNotes?limit=10"));

  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({
    notes: [
      {
        uri: `at://${alice}/com.example.note/3lbdaaaaaaa2a`,
        author: alice,
        text: "Hello, world",
        createdAt: "2026-01-01T12:00:00.000Z",
      },
    ],
  });
});

/** What the stream does when an account writes a note. */
async function publish(rkey: string, text: string): Promise<void> {
  const collection = "com.example.note";
  const record = { $type: collection, text, createdAt: "2026-01-01T12:00:00.000Z" };
  await app.records.pipeline.ingest({
    kind: "commit",
    action: "create",
    did: alice,
    collection,
    rkey,
    rev: rkey,
    record,
    cid: "",
  });
}
