import { describe, expect, test, vi } from "vitest";
import type { Database } from "../../../core/db/database.ts";
import { migrate } from "../../../core/db/migrate.ts";
import { migrations } from "../../../plugins/firehose/migrations.ts";
import { createResync, type ResyncParts } from "../../../plugins/firehose/resync.ts";
import { databases, migrated } from "../../setup/databases.ts";
import { createRecordingLog } from "../../setup/log.ts";
import { alice, bob } from "./fixture.ts";

describe.each(databases())("$name", (subject) => {
  async function open(): Promise<Database & AsyncDisposable> {
    const db = await migrated(subject);
    await migrate(db, [{ name: "firehose", migrations }], createRecordingLog().log);
    return db;
  }

  function resync(db: ResyncParts["db"], options: Partial<ResyncParts> = {}) {
    const orders: string[][] = [];
    const { log, messages } = createRecordingLog();
    const made = createResync({
      db,
      start: async (dids) => void orders.push(dids),
      log,
      now: Date.now,
      collectMs: 20,
      retryMs: 1,
      ...options,
    });
    return { made, orders, messages };
  }

  test("repos that are reset together are one order, and another process than the leader gives none", async () => {
    await using db = await open();
    const follower = resync(db);
    const { made, orders } = resync(db);
    await Promise.all([made.request(alice), follower.made.request(bob), made.request(alice)]);
    made.leads(true);
    await vi.waitFor(() => expect(orders.map((dids) => dids.toSorted())).toEqual([[alice, bob]]));
    await made.close();
    await follower.made.close();
    expect(follower.orders).toEqual([]);
  });

  test("a repo that is reset all the time is read anew once in a while, the last time too", async () => {
    await using db = await open();
    const { made, orders } = resync(db, { restMs: 200 });
    made.leads(true);
    await made.request(alice);
    await vi.waitFor(() => expect(orders).toEqual([[alice]]));
    for (let i = 0; i < 5; i++) await made.request(alice);
    expect(orders).toEqual([[alice]]);
    await vi.waitFor(() => expect(orders).toEqual([[alice], [alice]]));
    await made.close();
  });

  test("a restart forgets neither what waits nor what had not been ordered yet", async () => {
    await using db = await open();
    let time = Date.now();
    const before = resync(db, { now: () => time });
    before.made.leads(true);
    await before.made.request(alice);
    await vi.waitFor(() => expect(before.orders).toEqual([[alice]]));
    await before.made.request(alice); // waits for ten minutes
    before.made.leads(false);
    await before.made.request(bob); // its order would be the next leader's
    await before.made.close();

    const after = resync(db, { now: () => time });
    after.made.leads(true);
    await vi.waitFor(() => expect(after.orders).toEqual([[bob]]));
    await after.made.close();
    time += 600_000;
    const last = resync(db, { now: () => time });
    last.made.leads(true);
    await vi.waitFor(() => expect(last.orders).toEqual([[alice]]));
    await last.made.close();
    expect(await db.all("SELECT did FROM happyview_firehose_resyncs")).toEqual([]);
  });

  test("an order that fails is given again; a repo that is reset meanwhile is read once more", async () => {
    await using db = await open();
    const started: string[][] = [];
    const { made, messages } = resync(db, {
      restMs: 50,
      async start(dids) {
        started.push(dids);
        if (started.length === 1) throw new Error("the database is away");
        if (started.length === 2) await made.request(alice);
      },
    });
    made.leads(true);
    await made.request(alice);
    await vi.waitFor(() => expect(started).toEqual([[alice], [alice], [alice]]));
    await made.close();
    expect(messages("error")).toEqual(["repos that were reset cannot be read anew; trying again"]);
  });

  test("what cannot be stored now is stored later, and the stream waits for it", async () => {
    await using db = await open();
    let failures = 2;
    const away: ResyncParts["db"] = {
      ...db,
      isTransient: () => true,
      run: async (sql, params) => {
        if (failures-- > 0) throw new Error("away");
        return db.run(sql, params);
      },
    };
    const { made } = resync(away);
    await made.request(alice);
    expect(failures).toBe(-1);
    expect(await db.all("SELECT did FROM happyview_firehose_resyncs")).toEqual([{ did: alice }]);
    await made.close();
  });
});
