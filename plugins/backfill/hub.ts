import type { JobRow, JobStage, JobStatus, JobView } from "./job.ts";

/** What the event stream of a job tells (sync-and-xrpc §3.8). */
export type JobEvent =
  | { type: "job_snapshot"; job: JobView }
  | { type: "repo_discovered"; did: string }
  | { type: "repo_resolved"; did: string; pds_endpoint: string }
  | { type: "repo_fetched"; did: string; pds_endpoint: string; records_fetched: number }
  | { type: "repo_failed"; did: string; kind: string; message: string; will_retry: boolean }
  | {
      type: "job_counters";
      total_repos: number;
      resolved_repos: number;
      processed_repos: number;
      failed_repos: number;
      total_records: number;
    }
  | { type: "job_stage_changed"; stage: JobStage }
  | { type: "job_completed"; status: JobStatus; error: string | null };

/** Hands what happens to a job in this process to whoever watches it. */
export interface Hub {
  emit(jobId: string, event: JobEvent): void;
  /** Returns the way to stop listening. */
  listen(jobId: string, listener: (event: JobEvent) => void): () => void;
}

export function createHub(): Hub {
  const listeners = new Map<string, Set<(event: JobEvent) => void>>();
  return {
    emit(jobId, event) {
      for (const listener of listeners.get(jobId) ?? []) listener(event);
    },
    listen(jobId, listener) {
      const all = listeners.get(jobId) ?? new Set();
      listeners.set(jobId, all.add(listener));
      return () => {
        all.delete(listener);
        if (all.size === 0) listeners.delete(jobId);
      };
    },
  };
}

/** The counters of a job as an event. */
export function countersOf(job: JobRow): JobEvent {
  const { total_repos, resolved_repos, processed_repos, failed_repos, total_records } = job;
  return { type: "job_counters", total_repos, resolved_repos, processed_repos, failed_repos, total_records };
}
