import { expect, test } from "vitest";
import { computeCid } from "../../../core/records/verify.ts";
import type { CommitEvent, SourceEvent, StreamPosition } from "../../../core/index.ts";
import { createIntake, type VerifyLevel } from "../../../plugins/firehose/intake.ts";
import { createStreamTime } from "../../../plugins/firehose/stream-time.ts";
import { alice, note } from "./fixture.ts";

function intake(verify: VerifyLevel = "cid") {
  const taken: (SourceEvent | undefined)[] = [];
  const positions: (StreamPosition | undefined)[] = [];
  const verified: string[] = [];
  const sampled: CommitEvent[] = [];
  const made = createIntake({
    pipeline: {
      ingest: (event, position) => void (taken.push(event), positions.push(position)),
      skip: (position) => void positions.push(position),
    },
    verify,
    isTracked: (collection) => collection === note,
    sample: (event) => void sampled.push(event),
    status: { verified: (collection, by) => void verified.push(`${collection} ${by}`) },
    overlapMs: 1,
  });
  return { made, taken, positions, verified, sampled };
}

function commit(change: Partial<CommitEvent> = {}): CommitEvent {
  const record = { $type: note, text: "hi" };
  const cid = computeCid(record) ?? "";
  const path = { did: alice, collection: note, rkey: "a", rev: "3k" };
  return { kind: "commit", action: "create", ...path, record, cid, ...change };
}

test("positions bear the epoch of the lead under which they were read", () => {
  const { made, positions } = intake();
  made.lead(7);
  void made.ingest(commit(), { source: "s", position: "1" });
  void made.skip({ source: "s", position: "2" });
  void made.ingest(commit());
  expect(positions).toEqual([
    { source: "s", position: "1", epoch: 7 },
    { source: "s", position: "2", epoch: 7 },
    undefined,
  ]);
});

test("a record that is what it claims is marked and counted, others go on to be dropped by the pipeline", () => {
  const { made, taken, verified } = intake();
  const events = [
    commit(),
    commit({ cid: "bafyother" }),
    commit({ cid: "" }),
    commit({ collection: "com.example.x" }),
  ];
  for (const event of events) void made.ingest(event);
  expect(taken.map((event) => event?.kind === "commit" && event.isVerified)).toEqual([
    true,
    undefined,
    undefined,
    undefined,
  ]);
  expect(verified).toEqual([`${note} cid`]);
});

test("without verification a record is what its source says", () => {
  const { made, taken, verified } = intake("none");
  void made.ingest(commit({ cid: "bafyother" }));
  expect(taken[0]).toMatchObject({ isVerified: true });
  expect(verified).toEqual([]);
});

test("what a source has proven itself is not sampled, nor what nobody tracks", () => {
  const { made, sampled } = intake("sampled");
  void made.ingest(commit({ isVerified: true }));
  void made.ingest(commit({ collection: "com.example.x" }));
  void made.ingest(commit({ rkey: "b" }));
  void made.ingest(commit({ rkey: "c", action: "delete", record: undefined, cid: "" }));
  expect(sampled.map(({ rkey }) => rkey)).toEqual(["b", "c"]);
});

test("the tip of another source is stored when the stream has come past it, and only the oldest is awaited", () => {
  const { made, positions } = intake();
  made.lead(1);
  made.mark({ source: "relay:r", position: "10", timeUs: 5000 });
  made.mark({ source: "relay:r", position: "20", timeUs: 9000 });
  void made.skip({ source: "s", position: "1", timeUs: 5999 });
  expect(positions).toHaveLength(1);
  void made.skip({ source: "s", position: "2", timeUs: 6000 });
  expect(positions.slice(1)).toEqual([
    { source: "relay:r", position: "10", timeUs: 5000, epoch: 1 },
    { source: "s", position: "2", timeUs: 6000, epoch: 1 },
  ]);
});

test("one host's clock does not move the time of a stream", () => {
  const time = createStreamTime(() => 1_000_000);
  expect(time.add(undefined)).toBeUndefined();
  for (let i = 0; i < 40; i++) time.add(900_000_000 + i);
  expect(time.add(5)).toBeGreaterThan(899_999_999);
  for (let i = 0; i < 8; i++) time.add(5e15);
  expect(time.add(5e15)).toBeLessThan(900_000_100);
  for (let i = 0; i < 40; i++) time.add(5e15);
  expect(time.add(5e15)).toBe(1_000_000_000); // never later than now
});
