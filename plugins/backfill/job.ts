import type { Method } from "./plan.ts";

/** `pausing` and `cancelling` are requests; whoever works on the job last makes them true. */
export type JobStatus =
  | "running"
  | "pausing"
  | "paused"
  | "cancelling"
  | "cancelled"
  | "completed"
  | "failed";

export type JobStage = "pending" | "discovering_repos" | "resolving_and_fetching" | "completed";

export interface JobRow {
  id: string;
  collection: string | null;
  did: string | null;
  /** JSON array; null for a job that asks the relay who has records. */
  dids: string | null;
  /** Asked for by whoever created the job; null leaves it to the planner. */
  method: Method | null;
  /** What the planner chose, and why. */
  plan: string | null;
  status: JobStatus;
  stage: JobStage;
  total_repos: number;
  resolved_repos: number;
  processed_repos: number;
  failed_repos: number;
  total_records: number;
  removed_records: number;
  error: string | null;
  /** JSON object: failed units by kind. */
  error_counts: string;
  started_at: string | null;
  completed_at: string | null;
  created_at: string;
}

export const jobColumns =
  "id, collection, did, dids, method, plan, status, stage, total_repos, resolved_repos, processed_repos, failed_repos, total_records, removed_records, error, error_counts, started_at, completed_at, created_at";

/** What a job asks for. */
export interface JobRequest {
  /** One record collection; every one that has a lexicon when left out. */
  collection?: string | undefined;
  /** These accounts only; everybody the relay knows when left out. */
  dids?: readonly string[] | undefined;
  /** How to fetch; the planner chooses when left out. */
  method?: Method | undefined;
}

/** A job as `GET /admin/backfill/status` shows it: HappyView's fields, and the truth about what failed. */
export interface JobView extends Omit<JobRow, "dids" | "error_counts" | "plan"> {
  dids: string[] | null;
  plan: { method: Method; why: string } | null;
  /** False when a job ended without having everything: units failed, or not all were found. Null before its end. */
  complete: boolean | null;
  error_counts: Record<string, number>;
}

export function toView(row: JobRow): JobView {
  const errorCounts = JSON.parse(row.error_counts) as Record<string, number>; // written by finish() alone
  return {
    ...row,
    dids: row.dids === null ? null : (JSON.parse(row.dids) as string[]),
    plan: row.plan === null ? null : (JSON.parse(row.plan) as JobView["plan"]),
    error_counts: errorCounts,
    complete: row.status === "completed" ? row.failed_repos === 0 && row.error === null : null,
  };
}
