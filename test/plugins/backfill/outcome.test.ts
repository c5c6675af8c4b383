import { describe, expect, test } from "vitest";
import { RefusedAnswer } from "../../../core/http/answer.ts";
import { FetchError, failure } from "../../../plugins/backfill/failure.ts";
import { HostUnavailable } from "../../../plugins/backfill/hosts.ts";
import { outcomeOf } from "../../../plugins/backfill/outcome.ts";
import { NoRoom } from "../../../plugins/backfill/room.ts";

const now = 1_000_000;
const known = {
  attempts: 0,
  maxAttempts: 3,
  nowMs: now,
  retryMs: 1000,
  isStopping: false,
  isDatabaseAway: false,
};
const host = "https://a.test";
const refused = (answer: ConstructorParameters<typeof RefusedAnswer>[1]): RefusedAnswer =>
  new RefusedAnswer(host, answer);
const reason = failure("timeout", "too late");

describe("what becomes of a unit", () => {
  test.each([
    [
      "for whose answer there was no room",
      new NoRoom("full"),
      { attempts: 2 },
      { status: "retrying", attempts: 2, notBefore: now + 1000 },
    ],
    [
      "that a passing failure ended",
      refused({ status: 503 }),
      {},
      { status: "retrying", attempts: 1, notBefore: now + 1000 },
    ],
    [
      "for the second time",
      refused({ status: 503 }),
      { attempts: 1 },
      { status: "retrying", attempts: 2, notBefore: now + 2000 },
    ],
    ["for the last time", refused({ status: 503 }), { attempts: 2 }, { status: "failed", attempts: 3 }],
    [
      "after many attempts",
      refused({ status: 503 }),
      { attempts: 9, maxAttempts: 20 },
      { status: "retrying", notBefore: now + 120_000 },
    ],
    [
      "whose server says when",
      refused({ status: 503, waitMs: 7000 }),
      {},
      { status: "retrying", attempts: 1, notBefore: now + 7000 },
    ],
    [
      "that is asked too often",
      refused({ status: 429, waitMs: 9000 }),
      { attempts: 2 },
      { status: "retrying", attempts: 2, notBefore: now + 9000 },
    ],
    [
      "that is asked too often, without a hint",
      refused({ status: 429 }),
      { attempts: 2 },
      { status: "retrying", attempts: 2, notBefore: now + 1000 },
    ],
    [
      "that a final failure ended",
      refused({ status: 400, error: "RepoNotFound" }),
      {},
      { status: "failed", attempts: 1, failure: { kind: "repo_not_found" } },
    ],
    ["with wrong CIDs", new FetchError("cid_mismatch", "3 of 4"), {}, { status: "failed", attempts: 1 }],
    [
      "whose host pauses",
      new HostUnavailable(host, now + 5, reason),
      { attempts: 2 },
      { status: "retrying", attempts: 2, notBefore: now + 5, failure: reason },
    ],
    [
      "whose host is down",
      new HostUnavailable(host, undefined, reason),
      {},
      { status: "failed", attempts: 0, failure: reason, downHost: host },
    ],
    [
      "when the server stops",
      refused({ status: 503 }),
      { isStopping: true, attempts: 2 },
      { status: "pending", attempts: 2 },
    ],
    [
      "when the database is away",
      new Error("gone"),
      { isDatabaseAway: true, attempts: 2 },
      { status: "retrying", attempts: 2, notBefore: now + 1000 },
    ],
  ])("%s", (_, error, circumstances, expected) => {
    expect(outcomeOf(error, { ...known, ...circumstances })).toMatchObject(expected);
  });

  test("says nothing of a failure that is none of its own", () => {
    expect(outcomeOf(refused({ status: 503 }), { ...known, isStopping: true })).not.toHaveProperty("failure");
    expect(outcomeOf(new Error("gone"), { ...known, isDatabaseAway: true })).not.toHaveProperty("failure");
  });
});
