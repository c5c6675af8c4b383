import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { createStatus } from "../../../plugins/firehose/status.ts";
import { createRecordingLog } from "../../setup/log.ts";

function status() {
  let time = 0;
  const { log, messages } = createRecordingLog();
  const events: string[] = [];
  const told = createStatus({
    source: "relay",
    events: { emit: ({ type }) => void events.push(type) },
    metrics: new Registry(),
    log,
    now: () => time,
    unhealthyAfterMs: 60_000,
  });
  return { told, messages, events, wait: (ms: number) => void (time += ms) };
}

test("an outage is one warning; its further attempts are for debugging", () => {
  const { told, messages, events } = status();
  for (const _ of [1, 2, 3]) told.disconnected("refused");
  told.connected("wss://relay.example");
  for (const _ of [1, 2, 3]) told.disconnected("closed");
  const message = "the relay is not connected; trying again";
  expect(messages("warn")).toEqual([message, message]);
  expect(messages("debug")).toHaveLength(4);
  expect(events).toEqual(["relay.disconnected", "relay.connected", "relay.disconnected"]);
});

test("a stream that waits for the directory is told once, and unhealthy after a while", () => {
  const { told, messages, wait } = status();
  told.connected("wss://relay.example");
  for (const reason of ["503", "503", "429"]) told.waiting(reason);
  expect(messages("warn")).toHaveLength(1);
  wait(60_000);
  expect(told.check().ok).toBe(true);
  wait(1000);
  expect(told.check()).toMatchObject({ ok: false, detail: { waitingSeconds: 61, waitingFor: "429" } });
  told.resumed();
  told.resumed();
  expect(told.check().ok).toBe(true);
  expect(messages("info").filter((message) => message.includes("again"))).toHaveLength(1);
});
