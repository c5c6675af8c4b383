import { encode } from "@atproto/lex-cbor";
import type { LexMap } from "@atproto/lex-data";
import { expect, test } from "vitest";
import { decodeRelay } from "../../../plugins/firehose/relay-decode.ts";
import { maxFrameBytes } from "../../../plugins/firehose/decode.ts";
import { alice, note } from "./fixture.ts";

const frame = (header: LexMap, ...body: LexMap[]): Buffer =>
  Buffer.concat([header, ...body].map((item) => encode(item)));
const message = (t: string, body: LexMap): Buffer => frame({ op: 1, t }, body);
const time = "2026-05-20T12:00:00.123456Z";
const commit = { seq: 5, repo: alice, rev: "3kabc", blocks: new Uint8Array(), ops: [], time };

test("an account event", () => {
  const body = { seq: 7, did: alice, time, active: false, status: "takendown" };
  expect(decodeRelay(message("#account", body))).toMatchObject({
    kind: "account",
    seq: 7,
    did: alice,
    active: false,
    status: "takendown",
  });
});

test("an identity event may come without a handle", () => {
  expect(decodeRelay(message("#identity", { seq: 8, did: alice, time }))).toMatchObject({
    kind: "identity",
    seq: 8,
  });
});

test("a commit's deletes name no block", () => {
  const ops = [{ action: "delete", path: `${note}/x`, cid: null }];
  expect(decodeRelay(message("#commit", { ...commit, ops }))).toMatchObject({
    kind: "commit",
    seq: 5,
    did: alice,
    tooBig: false,
    ops: [{ action: "delete", collection: note, rkey: "x", cid: null }],
  });
});

test("a commit with more operations than it may have is too big, and they are not read", () => {
  const ops = Array.from({ length: 201 }, (_, i) => ({ action: "delete", path: `${note}/${i}`, cid: null }));
  expect(decodeRelay(message("#commit", { ...commit, ops }))).toMatchObject({ tooBig: true, ops: [] });
  const fewer = decodeRelay(message("#commit", { ...commit, ops: ops.slice(1) }));
  expect(fewer).toMatchObject({ tooBig: false, ops: { length: 200 } });
});

test("info and error frames", () => {
  expect(decodeRelay(message("#info", { name: "OutdatedCursor" }))).toEqual({
    kind: "info",
    name: "OutdatedCursor",
    message: "",
  });
  expect(decodeRelay(frame({ op: -1 }, { error: "FutureCursor", message: "no" }))).toEqual({
    kind: "error",
    name: "FutureCursor",
    message: "no",
  });
});

test("a message of a kind that is not known yet moves the position", () => {
  expect(decodeRelay(message("#novelty", { seq: 9, time }))).toMatchObject({ kind: "other", seq: 9 });
  expect(decodeRelay(message("#novelty", {}))).toMatchObject({ kind: "other", seq: undefined });
});

test.each<[string, Buffer]>([
  ["no CBOR", Buffer.from("hello")],
  ["nothing", Buffer.alloc(0)],
  ["a header alone", frame({ op: 1, t: "#commit" })],
  ["three items", frame({ op: 1, t: "#commit" }, commit, commit)],
  ["an unknown operation", frame({ op: 3, t: "#commit" }, commit)],
  ["a commit of no repo", message("#commit", { ...commit, repo: 3 })],
  ["a commit without blocks", message("#commit", { ...commit, blocks: "text" })],
  ["a commit without a rev", message("#commit", { ...commit, rev: null })],
  [
    "an unknown action",
    message("#commit", { ...commit, ops: [{ action: "move", path: `${note}/x`, cid: null }] }),
  ],
  [
    "a path of three parts",
    message("#commit", { ...commit, ops: [{ action: "delete", path: "a/b/c", cid: null }] }),
  ],
  [
    "a create without a CID",
    message("#commit", { ...commit, ops: [{ action: "create", path: `${note}/x`, cid: null }] }),
  ],
  ["an account without a time", message("#account", { seq: 7, did: alice, active: true })],
  ["an account without `active`", message("#account", { seq: 7, did: alice, time })],
  ["an oversize frame", Buffer.alloc(maxFrameBytes + 1)],
  ["endless nesting", Buffer.concat([encode({ op: 1, t: "#commit" }), Buffer.alloc(100_000, 0x81)])],
])("%s is malformed", (_, data) => {
  expect(decodeRelay(data).kind).toBe("malformed");
});
