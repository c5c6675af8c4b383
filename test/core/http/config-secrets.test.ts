import { expect, test } from "vitest";
import { startApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";

const [sqlite] = databases();

test("/config shows no credentials of the network's services", async () => {
  if (!sqlite) throw new Error("no database");
  await using t = await startApp(sqlite, {
    network: {
      jetstreamUrl: "wss://me:secret@jetstream.example?apiKey=secret",
      relayUrl: "https://secret@relay.example/",
      plcUrl: "https://plc.example",
    },
  });
  const body: unknown = await (await t.request("/config")).json();
  expect(body).toMatchObject({
    jetstream_url: "wss://jetstream.example",
    relay_url: "https://relay.example/",
    plc_url: "https://plc.example",
  });
  expect(JSON.stringify(body)).not.toContain("secret");
});
