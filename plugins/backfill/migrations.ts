import type { Migration } from "../../core/index.ts";

/**
 * HappyView's tables (sync-and-xrpc §3.1) with what makes a unit resumable: the collections it is about, how far it
 * came, why it failed, and who works on it until when.
 */
export const migrations: readonly Migration[] = [
  {
    id: "0001_backfill",
    sqlite: tables({ int: "INTEGER", text: "TEXT" }),
    postgres: tables({ int: "BIGINT", text: 'TEXT COLLATE "C"' }),
  },
];

function tables({ int, text }: { int: string; text: string }): string {
  return `
  CREATE TABLE happyview_backfill_jobs (
    id ${text} PRIMARY KEY,
    collection TEXT,
    did TEXT,
    dids TEXT,
    method TEXT,
    plan TEXT,
    status ${text} NOT NULL DEFAULT 'running',
    stage TEXT NOT NULL DEFAULT 'pending',
    total_repos ${int} NOT NULL DEFAULT 0,
    resolved_repos ${int} NOT NULL DEFAULT 0,
    processed_repos ${int} NOT NULL DEFAULT 0,
    failed_repos ${int} NOT NULL DEFAULT 0,
    total_records ${int} NOT NULL DEFAULT 0,
    removed_records ${int} NOT NULL DEFAULT 0,
    error TEXT,
    error_counts TEXT NOT NULL DEFAULT '{}',
    started_at TEXT,
    completed_at TEXT,
    created_at ${text} NOT NULL,
    discovered_by TEXT,
    discovery_lease ${int}
  );
  CREATE INDEX happyview_backfill_jobs_by_time ON happyview_backfill_jobs (created_at DESC);
  CREATE TABLE happyview_backfill_discovery (
    job_id ${text} NOT NULL REFERENCES happyview_backfill_jobs (id) ON DELETE CASCADE,
    collection ${text} NOT NULL,
    cursor TEXT,
    status TEXT NOT NULL DEFAULT 'pending',
    error TEXT,
    PRIMARY KEY (job_id, collection)
  );
  CREATE TABLE happyview_backfill_repos (
    job_id ${text} NOT NULL REFERENCES happyview_backfill_jobs (id) ON DELETE CASCADE,
    did ${text} NOT NULL,
    pds_endpoint TEXT,
    status ${text} NOT NULL DEFAULT 'pending',
    collections TEXT NOT NULL,
    progress TEXT,
    records_fetched ${int} NOT NULL DEFAULT 0,
    records_removed ${int} NOT NULL DEFAULT 0,
    attempts ${int} NOT NULL DEFAULT 0,
    not_before ${int} NOT NULL DEFAULT 0,
    error_kind TEXT,
    error TEXT,
    claimed_by TEXT,
    lease_until ${int},
    PRIMARY KEY (job_id, did)
  );
  CREATE INDEX happyview_backfill_repos_by_status ON happyview_backfill_repos (job_id, status, pds_endpoint, did);
  CREATE INDEX happyview_backfill_repos_claimed ON happyview_backfill_repos (claimed_by) WHERE claimed_by IS NOT NULL;`;
}
