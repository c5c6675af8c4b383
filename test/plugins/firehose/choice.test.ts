import { expect, test } from "vitest";
import { createChoice } from "../../../plugins/firehose/choice.ts";

const failed = { openMs: 0, delivered: false };

function choice(count: number) {
  let time = 1_000_000;
  const made = createChoice({
    count,
    failoverAfterMs: 30_000,
    failoverAfterAttempts: 10,
    failbackAfterMs: 300_000,
    now: () => time,
  });
  return { made, wait: (ms: number) => void (time += ms) };
}

test("a source is left after 30 seconds of failures, and the last one for the first", () => {
  const { made, wait } = choice(2);
  made.ended(failed);
  expect(made.patienceMs()).toBe(30_000);
  wait(29_999);
  expect(made.failOver()).toBe(false);
  wait(1);
  expect(made.failOver()).toBe(true);
  expect(made.current).toBe(1);
  expect(made.patienceMs()).toBe(Infinity);
  made.ended(failed);
  wait(30_000);
  expect(made.failOver()).toBe(true);
  expect(made.current).toBe(0);
});

test("or after ten connections that brought nothing", () => {
  const { made } = choice(2);
  for (let i = 0; i < 9; i++) made.ended(failed);
  expect(made.failOver()).toBe(false);
  made.ended(failed);
  expect(made.failOver()).toBe(true);
});

test("a connection that worked begins the count anew; one that only opened does not", () => {
  const { made, wait } = choice(2);
  for (let i = 0; i < 9; i++) made.ended(failed);
  made.ended({ openMs: 20_000, delivered: true });
  expect(made.failOver()).toBe(false);
  wait(29_000);
  made.ended({ openMs: 20_000, delivered: false });
  wait(1000);
  expect(made.failOver()).toBe(true);
});

test("the only source is never left", () => {
  const { made, wait } = choice(1);
  for (let i = 0; i < 50; i++) made.ended(failed);
  wait(1e6);
  expect(made.failOver()).toBe(false);
  expect(made.patienceMs()).toBe(Infinity);
});

test("a preferred source is taken up again when every look at it in five minutes was good", () => {
  const { made, wait } = choice(3);
  for (let i = 0; i < 20; i++) made.ended(failed);
  made.failOver();
  made.probed(0, true);
  wait(299_000);
  made.probed(0, false);
  made.probed(2, true); // less preferred than what is read
  wait(1000);
  made.probed(0, true);
  expect(made.failBack()).toBe(false);
  wait(300_000);
  made.probed(0, true);
  expect(made.failBack()).toBe(true);
  expect(made.current).toBe(0);
  expect(made.failBack()).toBe(false);
});
