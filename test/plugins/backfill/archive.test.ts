import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { generateEvents } from "../../../playground/network/generate.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { oracle } from "../../../playground/network/oracle.ts";
import { backfill } from "../../../plugins/backfill/index.ts";
import type { JobView } from "../../../plugins/backfill/job.ts";
import { adminHeaders, startApp, type TestApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";

const collection = "xyz.statusphere.status";
const lexicon = {
  lexicon: 1,
  id: collection,
  defs: { main: { type: "record", record: { type: "object" } } },
};

describe.each(databases())("a backfill out of an archive on $name", (subject) => {
  let network: Network;
  let running: TestApp;

  beforeEach(async () => {
    network = await createNetwork({ seed: 81 });
    network.jetstreamV2.rowsPerBlock = 50;
    running = await startApp(
      subject,
      { plugins: [backfill({ archive: { url: network.jetstreamV2.url }, leaseMs: 500, pollMs: 50 })] },
      {
        files: {
          lexicons: [{ path: `${collection}.json`, name: collection, text: JSON.stringify(lexicon) }],
        },
        env: { PLC_URL: network.plcUrl, RELAY_URL: network.relayUrl },
      },
    );
  });
  afterEach(async () => {
    await running.stop();
    await network.close();
  });

  const ask = async <T>(path: string, body?: unknown): Promise<T> => {
    const response = await running.request(`/admin/backfill${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { ...adminHeaders, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return (await response.json()) as T;
  };
  const ended = (id: string): Promise<JobView> =>
    vi.waitFor(async () => {
      const job = await ask<JobView>(`/${id}`);
      expect(job.status).toBe("completed");
      return job;
    }, 20_000);

  it("ends where the log ends, with what was deleted gone, also when it was paused in between", async () => {
    const events = [
      ...generateEvents({ seed: 4, events: 2000, dids: 40, updates: 0.2, deletes: 0.1, accounts: 0.01 }),
    ];
    for (const [i, event] of events.entries()) {
      network.jetstreamV2.publish(event);
      if (i % 500 === 499) network.jetstreamV2.seal();
    }
    const expected = oracle(events);
    const { id } = await ask<{ id: string }>("", { collection });
    await ask(`/${id}/pause`, {});
    await vi.waitFor(
      async () => expect((await ask<JobView>(`/${id}`)).status).toMatch(/paused|completed/),
      10_000,
    );
    await ask(`/${id}/resume`, {});
    const job = await ended(id);
    expect(job).toMatchObject({ complete: true, plan: { method: "archive" } });
    expect(job.total_repos).toBeGreaterThan(0);
    const rows = await running.app.db.all<{ uri: string; record: string }>(
      "SELECT uri, record FROM happyview_records ORDER BY uri",
    );
    expect(Object.fromEntries(rows.map(({ uri, record }) => [uri, JSON.parse(record) as unknown]))).toEqual(
      Object.fromEntries([...expected].map(([uri, { record }]) => [uri, record])),
    );
  });
});
