import { describe, expect, test } from "vitest";
import type { JobEvent } from "../../../plugins/backfill/hub.ts";
import type { JobView } from "../../../plugins/backfill/job.ts";
import { createScreen, describeJob } from "../../../plugins/backfill/screen.ts";

const job: JobView = {
  id: "one",
  collection: "com.example.note",
  did: null,
  dids: null,
  method: null,
  plan: { method: "listRecords", why: "one collection" },
  status: "running",
  stage: "discovering_repos",
  total_repos: 4,
  resolved_repos: 3,
  processed_repos: 1,
  failed_repos: 0,
  total_records: 20,
  removed_records: 0,
  error: null,
  error_counts: {},
  started_at: null,
  completed_at: null,
  created_at: "2026-01-01T00:00:00.000Z",
  complete: null,
};
const counters = (processed: number, failed = 0): JobEvent => ({
  type: "job_counters",
  total_repos: 4,
  resolved_repos: 4,
  processed_repos: processed,
  failed_repos: failed,
  total_records: 20 * processed,
});

function shown(isInteractive: boolean, events: readonly JobEvent[], last?: string): string {
  let text = "";
  const screen = createScreen({ write: (more) => (text += more) }, isInteractive);
  for (const event of events) screen.show(event);
  screen.close(last);
  return text.replace(/\d+\/s/g, "n/s");
}

describe("a job is shown", () => {
  const events: JobEvent[] = [
    { type: "job_snapshot", job },
    { type: "repo_fetched", did: "did:plc:a", pds_endpoint: "https://a.test", records_fetched: 3 },
    { type: "job_stage_changed", stage: "resolving_and_fetching" },
    counters(2, 1),
  ];
  const [one, two] = ["██████", "████████████"];
  const [three, half] = ["░".repeat(18), "░".repeat(12)];

  test("in one line that is written over, on a terminal", () => {
    expect(shown(true, events)).toBe(
      [
        "by listRecords: one collection\n",
        `\r\u001b[2K${one}${three} 1 of 4+ repos, 20 records, n/s`,
        `\r\u001b[2K${one}${three} 1 of 4 repos, 20 records, n/s`,
        `\r\u001b[2K${two}${half} 2 of 4 repos, 1 failed, 40 records, n/s`,
        `\r\u001b[2K${two}${half} 2 of 4 repos, 1 failed, 40 records, n/s\n`,
      ].join(""),
    );
  });

  test("in its first and last line, in a log that is no terminal", () => {
    expect(shown(false, events, "the job goes on")).toBe(
      [
        "by listRecords: one collection",
        `${one}${three} 1 of 4+ repos, 20 records, n/s`,
        `${two}${half} 2 of 4 repos, 1 failed, 40 records, n/s`,
        "the job goes on",
        "",
      ].join("\n"),
    );
  });

  test("as nothing, before anything is known", () => {
    expect(shown(true, [])).toBe("");
  });
});

describe("a job is described", () => {
  test.each<[string, Partial<JobView>, string[]]>([
    ["by its counts", {}, ["one  running  com.example.note: 1 of 4 repos, 20 records"]],
    [
      "by its accounts",
      { collection: null, dids: ["did:plc:a", "did:plc:b"], removed_records: 2 },
      ["one  running  all collections of 2 accounts: 1 of 4 repos, 20 records, 2 removed"],
    ],
    [
      "with what failed and why",
      {
        status: "completed",
        error: "the relay is away",
        failed_repos: 3,
        error_counts: { timeout: 2, other: 1 },
      },
      [
        "one  completed  com.example.note: 1 of 4 repos, 20 records",
        "  the relay is away",
        "  3 repos failed: 2 timeout, 1 other; try them again: happyview backfill retry-failed one",
      ],
    ],
  ])("%s", (_, change, lines) => {
    expect(describeJob({ ...job, ...change })).toBe(lines.join("\n"));
  });
});
