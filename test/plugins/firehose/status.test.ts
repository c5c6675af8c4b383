import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { createStatus } from "../../../plugins/firehose/status.ts";
import { createRecordingLog } from "../../setup/log.ts";

function status() {
  let time = 0;
  const { log, messages } = createRecordingLog();
  const events: string[] = [];
  const registry = new Registry();
  const told = createStatus({
    source: "relay",
    events: { emit: ({ type }) => void events.push(type) },
    metrics: registry,
    log,
    now: () => time,
    unhealthyAfterMs: 60_000,
  });
  return {
    told,
    messages,
    events,
    wait: (ms: number) => void (time += ms),
    metrics: () => registry.metrics(),
  };
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

test("the time that a socket is held counts while it lasts", async () => {
  const { told, wait, metrics } = status();
  const held = async (): Promise<string | undefined> =>
    /^happyview_firehose_backpressure_seconds_total (.*)$/m.exec(await metrics())?.[1];
  expect(await held()).toBe("0");
  const release = told.held();
  wait(3000);
  expect(await held()).toBe("3");
  wait(2000);
  release();
  wait(9000);
  expect(await held()).toBe("5");
  told.held();
  wait(-4000); // the clock was set back
  expect(await held()).toBe("5");
});

test("metrics of what came, what was checked and what is lost", async () => {
  const { told, wait, metrics } = status();
  told.reading("relay", "relay:relay.example");
  expect(await metrics()).not.toContain("happyview_firehose_source{");
  told.connected("wss://relay.example");
  wait(10_000);
  told.received("commit", 4_000_000);
  told.bytes(120);
  told.malformed("no");
  told.dropped("unverified");
  told.verified("com.example.note", "signature");
  told.proof("com.example.note", "failed");
  told.gap({ from: "1", to: "9", reason: "gone" });
  told.waiting("503");
  wait(2000);
  told.switched("jetstream:other.example");
  const text = await metrics();
  for (const line of [
    "connected 1",
    'source{source="relay:relay.example"} 1',
    "lag_seconds 6",
    "last_event_timestamp_seconds 4",
    'events_total{kind="commit"} 1',
    "received_bytes_total 120",
    "malformed_total 1",
    'dropped_total{reason="malformed"} 1',
    'dropped_total{reason="unverified"} 1',
    'verified_total{collection="com.example.note",by="signature"} 1',
    'proofs_total{collection="com.example.note",result="failed"} 1',
    "gaps_total 1",
    "waiting_seconds_total 2",
    "failovers_total 1",
  ])
    expect(text).toContain(`happyview_firehose_${line}\n`);
});

test("a follower is well, and its time does not count as an outage", () => {
  const { told, wait } = status();
  told.leads(false);
  wait(1e6);
  expect(told.check()).toEqual({ ok: true, detail: { role: "follower", connected: false } });
  told.leads(true);
  expect(told.check()).toMatchObject({ ok: true, detail: { role: "leader", disconnectedSeconds: 0 } });
  wait(61_000);
  expect(told.check().ok).toBe(false);
});
