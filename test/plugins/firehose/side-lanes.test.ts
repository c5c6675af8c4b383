import { expect, test, vi } from "vitest";
import { createSideLanes } from "../../../plugins/firehose/side-lanes.ts";
import { Watermark } from "../../../plugins/firehose/watermark.ts";
import { alice, bob } from "./fixture.ts";

function sideLanes(maxHoldMs: number) {
  let time = 0;
  const lanes = createSideLanes({ limit: 2, maxHoldMs, now: () => time });
  const finished: string[] = [];
  const add = (did: string, name: string) => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const wait = lanes.add(did, promise, (result) => void finished.push(result));
    return { wait, answer: () => resolve(name) };
  };
  return { lanes, finished, add, pass: (ms: number) => void (time += ms) };
}

test("repos do not wait for each other, and each keeps its order", async () => {
  const { lanes, finished, add } = sideLanes(0);
  const [a1, a2, b1] = [add(alice, "a1"), add(alice, "a2"), add(bob, "b1")];
  a2.answer();
  b1.answer();
  await vi.waitFor(() => expect(finished).toEqual(["b1"]));
  a1.answer();
  await lanes.done();
  expect(finished).toEqual(["b1", "a1", "a2"]);
});

test("who comes when they are full waits until one is done", async () => {
  const { lanes, add } = sideLanes(60_000);
  const [first, second] = [add(alice, "a"), add(bob, "b")];
  expect(first.wait).toBeUndefined();
  expect(lanes.hasRoom()).toBe(true); // it is worth waiting for
  first.answer();
  await second.wait;
  second.answer();
  await lanes.done();
});

test("all of them together keep the others waiting for so long of each minute and no longer", async () => {
  const { lanes, add, pass } = sideLanes(1);
  const [first, second] = [add(alice, "a"), add(bob, "b")];
  pass(1);
  await second.wait;
  expect(lanes.hasRoom()).toBe(false);
  pass(60_000);
  expect(lanes.hasRoom()).toBe(true);
  first.answer();
  second.answer();
  await lanes.done();
});

test("a position stays before what is still done beside the stream", () => {
  const mark = new Watermark();
  const place = (seq: number) => ({ seq, timeUs: seq * 10 });
  expect(mark.pass(place(1))).toEqual(place(1));
  mark.hold(place(2));
  mark.hold(place(4));
  expect(mark.pass(place(3))).toEqual({ seq: 1, timeUs: 20 });
  expect(mark.release(2)).toEqual(place(3));
  expect(mark.pass(place(9))).toEqual({ seq: 3, timeUs: 40 });
  expect(mark.release(4)).toEqual(place(9));
});
