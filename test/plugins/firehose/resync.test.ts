import { expect, test, vi } from "vitest";
import { createResync } from "../../../plugins/firehose/resync.ts";
import { createRecordingLog } from "../../setup/log.ts";
import { alice, bob } from "./fixture.ts";

function resync(options: { fail?: boolean; restMs?: number } = {}) {
  const orders: string[][] = [];
  let time = 0;
  const { log, messages } = createRecordingLog();
  const made = createResync({
    start: async (dids) => {
      orders.push(dids);
      if (options.fail) throw new Error("the database is away");
    },
    log,
    now: () => time,
    collectMs: 1,
    restMs: options.restMs ?? 1000,
  });
  return { made, orders, messages, wait: (ms: number) => void (time += ms) };
}

test("orders that come together are one, and each waits until it is durable", async () => {
  const { made, orders } = resync();
  await Promise.all([made.request(alice), made.request(bob), made.request(alice)]);
  expect(orders).toEqual([[alice, bob]]);
  made.close();
});

test("a repo that is reset all the time is read anew once in a while, the last time too", async () => {
  const { made, orders, wait } = resync({ restMs: 50 });
  await made.request(alice);
  for (let i = 0; i < 5; i++) await made.request(alice);
  expect(orders).toEqual([[alice]]);
  wait(50);
  await vi.waitFor(() => expect(orders).toEqual([[alice], [alice]]));
  made.close();
});

test("one that cannot be ordered is told, and does not hold up the stream", async () => {
  const { made, messages } = resync({ fail: true });
  await made.request(alice);
  expect(messages("error")).toEqual(["repos that were reset cannot be read anew; backfill them"]);
  made.close();
});
