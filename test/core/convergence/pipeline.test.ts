import { describe, expect, test } from "vitest";
import { decodeJetstream } from "../../../plugins/firehose/decode.ts";
import { createPrng } from "../../../playground/network/prng.ts";
import { databases, migrated } from "../../setup/databases.ts";
import { createBench } from "../records/_pipeline.ts";
import { collections, differences, expectedTable, hardStream, tableOf } from "./_stream.ts";

describe.each(databases())("20,000 events through the pipeline on $name", (subject) => {
  test.each([
    { maxPending: 700, maxBatch: 90, accounts: 0.02 },
    { maxPending: 4000, maxBatch: 2000, accounts: 0.0005 },
  ])("end as the oracle says, whatever the interceptors' pace, in batches of $maxBatch", async (how) => {
    const { accounts, ...limits } = how;
    const seed = 3;
    await using db = await migrated(subject);
    const { pipeline, events: logged } = createBench(db, limits, collections);
    const prng = createPrng(`${seed}/pace`);
    pipeline.intercept({
      wants: (_, nsid) => nsid === collections[0],
      // Some events wait a turn or a few, so that repos overtake each other.
      handle: async () => {
        for (let turns = prng.int(4); turns > 0; turns--) await new Promise((go) => setImmediate(go));
      },
    });
    const events = hardStream(seed, { accounts });
    for (const event of events) {
      const decoded = decodeJetstream(Buffer.from(JSON.stringify(event)), false);
      if (decoded.kind !== "event") throw new Error(`the generator made ${decoded.kind}`);
      await pipeline.ingest(decoded.event, { source: "jetstream", position: String(decoded.timeUs) });
    }
    await pipeline.flush();
    const expected = expectedTable(events);
    expect(Object.keys(expected).length).toBeGreaterThan(1000);
    expect(differences(await tableOf(db), expected)).toEqual([]);
    expect(await pipeline.position("jetstream")).toBe(String(events.at(-1)?.time_us));
    expect(logged).toEqual([]);
    const orphans = await db.get(
      "SELECT count(*) AS n FROM happyview_record_refs WHERE source_uri NOT IN (SELECT uri FROM happyview_records)",
    );
    expect(orphans).toEqual({ n: 0 });
    const buried = await db.get(
      "SELECT count(*) AS n FROM happyview_record_tombstones WHERE uri IN (SELECT uri FROM happyview_records)",
    );
    expect(buried).toEqual({ n: 0 });
    await pipeline.close();
  });
});
