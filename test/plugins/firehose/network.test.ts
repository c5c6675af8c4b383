import { expect, test, vi } from "vitest";
import { createNetwork } from "../../../playground/network/network.ts";
import { firehose } from "../../../plugins/firehose/index.ts";
import { note, testApp } from "./fixture.ts";

test.each(["jetstream", "relay"] as const)(
  "a %s that breaks, closes and repeats itself gives the same index in the end",
  async (source) => {
    await using network = await createNetwork({ seed: 5, now: Date.now });
    const { plcUrl, relayUrl, jetstreamUrl, faults } = network;
    const url = source === "relay" ? relayUrl : jetstreamUrl;
    faults.add({ service: source, times: 3, socket: { disconnectAfter: 30, duplicate: 0.2 } });
    faults.add({ service: source, times: 2, socket: { closeAfter: 20 } });
    await using t = await testApp(firehose({ source, url, random: () => 0 }), { plcUrl });
    await vi.waitFor(() => expect(network[source].clients).toBe(1), { interval: 10 });
    const accounts = [await network.createAccount(), await network.createAccount()];
    const expected = new Map<string, unknown>();
    for (let i = 0; i < 200; i++) {
      const account = accounts[i % 2];
      const rkey = `r${i % 23}`;
      const uri = `at://${account?.did}/${note}/${rkey}`;
      if (i % 5 === 4 && expected.delete(uri)) await account?.delete(note, rkey);
      else {
        await account?.put(note, rkey, { i });
        expected.set(uri, { $type: note, i });
      }
    }
    const rows = (): Promise<{ uri: string; record: string }[]> =>
      t.app.db.all("SELECT uri, record FROM happyview_records");
    await vi.waitFor(
      async () =>
        expect(new Map((await rows()).map(({ uri, record }) => [uri, JSON.parse(record)]))).toEqual(expected),
      { timeout: 30_000, interval: 50 },
    );
    expect(await t.metrics()).toContain("happyview_firehose_reconnects_total 5");
  },
);
