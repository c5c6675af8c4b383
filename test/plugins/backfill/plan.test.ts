import { describe, expect, test } from "vitest";
import { plan, type PlanInput } from "../../../plugins/backfill/plan.ts";

const some: PlanInput = {
  job: { method: null, dids: null },
  collections: ["com.example.a"],
  configured: undefined,
  hasArchive: false,
  isSwept: false,
};
const dids = '["did:plc:a"]';
const many = ["a", "b", "c", "d"].map((name) => `com.example.${name}`);

describe("a job is fetched", () => {
  test.each<[string, Partial<PlanInput>, string, RegExp]>([
    ["page by page for one collection", {}, "listRecords", /^one collection of each repo: its pages are/],
    [
      "page by page for a few",
      { collections: many.slice(0, 3) },
      "listRecords",
      /^3 collections of each repo: its pages are/,
    ],
    [
      "as exports for many",
      { collections: many },
      "getRepo",
      /^4 collections of each repo: one signed export/,
    ],
    [
      "out of an archive where there is one",
      { hasArchive: true, collections: many },
      "archive",
      /^an archive is configured and the job covers whole collections$/,
    ],
    [
      "of hosts for single accounts, whatever archive there is",
      { hasArchive: true, job: { method: null, dids } },
      "listRecords",
      /^one collection/,
    ],
    [
      "as the config says",
      { hasArchive: true, configured: "getRepo" },
      "getRepo",
      /^the config asks for it$/,
    ],
    [
      "as the job says before all else",
      { hasArchive: true, configured: "getRepo", job: { method: "listRecords", dids } },
      "listRecords",
      /^the job asks for it$/,
    ],
    [
      "out of an archive because the job says so",
      { hasArchive: true, configured: "getRepo", job: { method: "archive", dids: null } },
      "archive",
      /^the job asks for it$/,
    ],
    [
      "of hosts though an archive was asked for that is not there",
      { configured: "archive", collections: many },
      "getRepo",
      /none is configured: set `archive` of backfill\(\); 4 collections of each repo/,
    ],
    [
      "of hosts though an archive was asked for single accounts",
      { hasArchive: true, job: { method: "archive", dids } },
      "listRecords",
      /^an archive is read for whole collections, not for single accounts; one collection/,
    ],
    [
      "of hosts when the archive is read",
      { hasArchive: true, configured: "archive", isSwept: true },
      "listRecords",
      /^the archive is read, and what it lacks is asked of the hosts; one collection/,
    ],
  ])("%s", (_, input, method, why) => {
    expect(plan({ ...some, ...input })).toEqual({ method, why: expect.stringMatching(why) });
  });
});
