import { expect, test } from "vitest";
import { createBackoff } from "../../../plugins/firehose/backoff.ts";

const failed = { openMs: 0, delivered: false };

test("the first retry is quick, then the ceiling doubles up to the maximum", () => {
  const backoff = createBackoff({ random: () => 0.999999, maxMs: 60_000 });
  const waits = Array.from({ length: 10 }, () => backoff.after(failed));
  expect(waits).toEqual([250, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
});

test("waits are spread over the whole range, but never nothing", () => {
  const backoff = createBackoff({ random: () => 0 });
  expect(Array.from({ length: 5 }, () => backoff.after(failed))).toEqual([100, 100, 100, 100, 100]);
});

test("a connection that delivered and closes at once does not start the sequence anew", () => {
  const backoff = createBackoff({ random: () => 0.999999 });
  const waits = [1, 2, 3, 4].map(() => backoff.after({ openMs: 50, delivered: true }));
  expect(waits).toEqual([250, 1000, 2000, 4000]);
});

test("nor does one that was open for long and delivered nothing", () => {
  const backoff = createBackoff({ random: () => 0.999999 });
  backoff.after(failed);
  expect(backoff.after({ openMs: 100_000, delivered: false })).toBe(1000);
});

test("one that delivered for a while does", () => {
  const backoff = createBackoff({ random: () => 0.999999 });
  for (let i = 0; i < 5; i++) backoff.after(failed);
  expect(backoff.after({ openMs: 20_000, delivered: true })).toBe(250);
});

test("the maximum holds for the quick retry too, however many attempts", () => {
  const backoff = createBackoff({ random: () => 0.999999, maxMs: 50 });
  expect(Array.from({ length: 100 }, () => backoff.after(failed)).every((ms) => ms === 50)).toBe(true);
});
