import { expect, test } from "vitest";
import { Lineup } from "../../../plugins/firehose/lineup.ts";

test("what begins together finishes in order", async () => {
  const lineup = new Lineup(10);
  const first = Promise.withResolvers<string>();
  const seen: string[] = [];
  const finish = (name: string): void => void seen.push(name);
  lineup.add(first.promise, finish);
  lineup.add(Promise.resolve("b"), finish);
  lineup.add("c", finish);
  await Promise.resolve();
  expect(seen).toEqual([]);
  first.resolve("a");
  await lineup.done();
  expect(seen).toEqual(["a", "b", "c"]);
});

test("with nothing under way, ready work finishes at once", () => {
  const seen: number[] = [];
  expect(new Lineup(10).add(1, (n) => void seen.push(n))).toBeUndefined();
  expect(seen).toEqual([1]);
});

test("asks to wait at the limit, until all has finished", async () => {
  const lineup = new Lineup(2);
  const gate = Promise.withResolvers<number>();
  expect(lineup.add(gate.promise, () => {})).toBeUndefined();
  const wait = lineup.add(2, () => {});
  expect(wait).toBeInstanceOf(Promise);
  gate.resolve(1);
  await wait;
  expect(lineup.add(3, () => {})).toBeUndefined();
});
