import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { EventInput } from "../../../core/events.ts";
import { createUnverifiedReports } from "../../../plugins/firehose/unverified.ts";
import { alice, bob } from "./fixture.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function reports(maxRepos?: number) {
  const told: EventInput[] = [];
  const options = maxRepos === undefined ? {} : { maxRepos };
  const { add, close } = createUnverifiedReports({ emit: (event) => void told.push(event) }, options);
  const bad = (did: string, seq: number): void => add({ did, seq, rev: `rev${seq}`, problems: ["bad"] });
  const seen = (): unknown[] =>
    told.splice(0).map(({ subject, detail }) => [subject, detail?.["count"], detail?.["seq"]]);
  return { bad, close, seen, told };
}

test("bad commits of a repo are one entry at once and one a minute, with their number", () => {
  const { bad, seen, told } = reports();
  for (let seq = 1; seq <= 1000; seq++) bad(alice, seq);
  bad(bob, 1001);
  expect(told[0]).toMatchObject({
    type: "record.unverified",
    severity: "warn",
    detail: { rev: "rev1", problems: 1, reason: "bad" },
  });
  expect(seen()).toEqual([
    [alice, 1, 1],
    [bob, 1, 1001],
  ]);
  vi.advanceTimersByTime(60_000);
  expect(seen()).toEqual([[alice, 999, 1000]]);
  bad(alice, 1002);
  vi.advanceTimersByTime(60_000);
  expect(seen()).toEqual([[alice, 1, 1002]]);
  vi.advanceTimersByTime(120_000);
  bad(alice, 1003);
  expect(seen()).toEqual([[alice, 1, 1003]]);
});

test("of very many repos the rest is one entry", () => {
  const { bad, seen } = reports(2);
  for (let i = 0; i < 100; i++) bad(`did:plc:${i}`, i);
  expect(seen()).toEqual([
    ["did:plc:0", 1, 0],
    ["did:plc:1", 1, 1],
    [null, 1, 2],
  ]);
  vi.advanceTimersByTime(60_000);
  expect(seen()).toEqual([[null, 97, 99]]);
});

test("closing tells what was only counted", () => {
  const { bad, close, seen } = reports();
  bad(alice, 1);
  bad(alice, 2);
  seen();
  close();
  expect(seen()).toEqual([[alice, 1, 2]]);
});
