import * as zlib from "node:zlib";
import { TID } from "@atproto/common-web";
import { expect, test } from "vitest";
import { accountRev, decodeJetstream, isShallow, maxFrameBytes } from "../../../plugins/firehose/decode.ts";
import { decodeV2 } from "../../../plugins/firehose/jetstream-v2-decode.ts";
import { alice, commitFrame, note } from "./fixture.ts";

const decode = (frame: unknown) =>
  decodeJetstream(Buffer.from(typeof frame === "string" ? frame : JSON.stringify(frame)), false);
const time_us = 1_780_000_000_123_456;
const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)]);

test("a commit becomes an event with its rev, record and cid", () => {
  const frame = commitFrame("one", { $type: note, text: "hi" }, { time_us });
  frame.commit["cid"] = "bafyreiexample";
  expect(decode(frame)).toEqual({
    kind: "event",
    timeUs: time_us,
    event: {
      kind: "commit",
      action: "create",
      did: alice,
      collection: note,
      rkey: "one",
      rev: TID.fromTime(time_us, 0).toString(),
      record: { $type: note, text: "hi" },
      cid: "bafyreiexample",
    },
  });
});

test("a delete has no record, and what is missing is empty", () => {
  const frame = {
    did: alice,
    time_us,
    kind: "commit",
    commit: { operation: "delete", collection: note, rkey: "x" },
  };
  expect(decode(frame)).toMatchObject({ event: { action: "delete", rev: "", cid: "", record: undefined } });
});

test("an account event's rev is its time, to the microsecond", () => {
  const account = {
    did: alice,
    active: false,
    status: "deleted",
    seq: 1,
    time: "2026-05-20T12:00:00.123456Z",
  };
  const rev = TID.fromTime(Date.UTC(2026, 4, 20, 12) * 1000 + 123_456, 0).toString();
  expect(decode({ did: alice, time_us, kind: "account", account })).toEqual({
    kind: "event",
    timeUs: time_us,
    event: { kind: "account", did: alice, active: false, status: "deleted", rev },
  });
});

test.each([
  ["no time", undefined],
  ["a time that is none", "yesterday"],
  ["a number", 12],
])("an account event with %s takes the time of the stream", (_, time) => {
  expect(accountRev(time, time_us)).toBe(TID.fromTime(time_us, 0).toString());
});

test("a time before there were TIDs still gives a TID", () => {
  expect(accountRev("1970-01-01T00:00:00Z", time_us)).toHaveLength(13);
});

test("an identity event may come without a handle", () => {
  const frame = { did: alice, time_us, kind: "identity" };
  expect(decode({ ...frame, identity: { did: alice, handle: "alice.test" } })).toMatchObject({
    event: { kind: "identity", did: alice, handle: "alice.test" },
  });
  expect(decode({ ...frame, identity: { did: alice } })).toMatchObject({ event: { handle: undefined } });
});

test.each<[string, unknown, number | undefined]>([
  ["an unknown kind", { did: alice, time_us, kind: "mystery" }, time_us],
  [
    "an unknown operation",
    { did: alice, time_us, kind: "commit", commit: { operation: "upsert", collection: note, rkey: "x" } },
    time_us,
  ],
  ["a heartbeat", { kind: "heartbeat", payload: {} }, undefined],
])("%s is skipped, and its time known", (_, frame, timeUs) => {
  expect(decode(frame)).toEqual({ kind: "skipped", timeUs });
});

const commit = { operation: "create", collection: note, rkey: "x", record: {} };
test.each<[string, unknown]>([
  ["a cut frame", '{"kind":"commit",'],
  ["a list", []],
  ["null", null],
  ["a number", 3],
  ["a commit without a time", { kind: "commit" }],
  ["a negative time", { did: alice, time_us: -1, kind: "commit", commit }],
  ["a time with a fraction", { did: alice, time_us: 1.5, kind: "commit", commit }],
  ["a time as text", { did: alice, time_us: "1", kind: "commit", commit }],
  ["no did", { time_us, kind: "commit", commit }],
  ["a did that is a number", { did: 1, time_us, kind: "commit", commit }],
  ["an overlong did", { did: "did:web:" + "x".repeat(3000), time_us, kind: "commit", commit }],
  ["no commit", { did: alice, time_us, kind: "commit" }],
  ["a commit that is a list", { did: alice, time_us, kind: "commit", commit: [] }],
  [
    "a collection that is a number",
    { did: alice, time_us, kind: "commit", commit: { ...commit, collection: 1 } },
  ],
  ["no rkey", { did: alice, time_us, kind: "commit", commit: { ...commit, rkey: undefined } }],
  ["an overlong rkey", { did: alice, time_us, kind: "commit", commit: { ...commit, rkey: "x".repeat(513) } }],
  [
    "a record nested without end",
    { did: alice, time_us, kind: "commit", commit: { ...commit, record: { a: deep(500) } } },
  ],
  ["an account without `active`", { did: alice, time_us, kind: "account", account: {} }],
])("%s is malformed", (_, frame) => {
  expect(decode(frame).kind).toBe("malformed");
});

test("an oversize frame is refused before it is parsed", () => {
  expect(decodeJetstream(Buffer.alloc(maxFrameBytes + 1, 32), false)).toMatchObject({
    kind: "malformed",
    reason: expect.stringContaining("bytes"),
  });
});

test("a record that is no object is no record", () => {
  const frame = { did: alice, time_us, kind: "commit", commit: { ...commit, record: "text" } };
  expect(decode(frame)).toMatchObject({ kind: "event", event: { record: undefined } });
});

test("a compressed frame is read where the runtime can, and else malformed", () => {
  const plain = Buffer.from(JSON.stringify(commitFrame("z", {}, { time_us })));
  const packed = zlib.zstdCompressSync(plain);
  expect(decodeJetstream(packed, true)).toMatchObject({ kind: "event", timeUs: time_us });
  expect(decodeJetstream(Buffer.from("not zstd"), true).kind).toBe("malformed");
});

test("a small compressed frame cannot grow beyond the limit", () => {
  const bomb = zlib.zstdCompressSync(Buffer.alloc(maxFrameBytes * 2, 32));
  expect(bomb.length).toBeLessThan(100_000);
  expect(decodeJetstream(bomb, true).kind).toBe("malformed");
});

test("a large text that is nested without end is not even parsed", () => {
  const text = JSON.stringify(commitFrame("x", { a: "" }, { time_us }));
  const nested = text.replace('"a":""', `"a":${"[".repeat(100_000)}${"]".repeat(100_000)}`);
  const reason = "nested too deeply";
  expect(decodeJetstream(Buffer.from(nested), false)).toEqual({ kind: "malformed", reason });
  expect(decodeV2(nested)).toEqual({ kind: "malformed", reason });
  // Brackets in strings, and quotes in them, are no nesting.
  const words = JSON.stringify('"[{\\'.repeat(40_000));
  const flat = text.replace('"a":""', () => `"a":${words}`);
  expect(decodeJetstream(Buffer.from(flat), false)).toMatchObject({ kind: "event" });
});

test("depth is measured without recursion beyond the limit", () => {
  expect(isShallow(deep(100))).toBe(true);
  expect(isShallow(deep(129))).toBe(false);
  expect(isShallow(JSON.parse("[".repeat(100_000) + "]".repeat(100_000)))).toBe(false);
});
