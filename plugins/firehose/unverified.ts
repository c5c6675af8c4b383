import type { Events } from "../../core/events.ts";

/** A commit of which something could not be verified. */
export interface UnverifiedCommit {
  did: string;
  rev: string;
  seq: number;
  problems: readonly string[];
}

export interface UnverifiedReports {
  add(commit: UnverifiedCommit): void;
  /** Announces what is not announced yet. */
  close(): void;
}

const windowMs = 60_000;

interface Window {
  /** Commits since the last entry. */
  count: number;
  last: UnverifiedCommit;
}

/**
 * Announces `record.unverified` about once for each repo and minute, the first at once and the others counted, since
 * anybody can send bad commits and each entry is a row. Beyond `maxRepos` repos in a minute there is one entry for the rest.
 */
export function createUnverifiedReports(
  events: Events,
  options: { everyMs?: number; maxRepos?: number } = {},
): UnverifiedReports {
  const { everyMs = windowMs, maxRepos = 1000 } = options;
  let windows = new Map<string | null, Window>();

  function emit(subject: string | null, { did, rev, seq, problems }: UnverifiedCommit, count: number): void {
    const reason = problems.slice(0, 3).join("; ").slice(0, 500);
    const detail = { count, rev, seq, problems: problems.length, reason, ...(subject ? {} : { did }) };
    events.emit({ type: "record.unverified", severity: "warn", subject, detail });
  }

  /** Repos that were quiet for a whole window begin anew; the others have their count announced. */
  function turn(): void {
    const ended = windows;
    windows = new Map();
    for (const [subject, { count, last }] of ended) {
      if (count === 0) continue;
      windows.set(subject, { count: 0, last });
      emit(subject, last, count);
    }
  }

  const timer = setInterval(turn, everyMs);
  timer.unref();
  return {
    add(commit) {
      const subject = windows.has(commit.did) || windows.size < maxRepos ? commit.did : null;
      const window = windows.get(subject);
      if (window) {
        window.count += 1;
        window.last = commit;
      } else {
        windows.set(subject, { count: 0, last: commit });
        emit(subject, commit, 1);
      }
    },
    close() {
      clearInterval(timer);
      turn();
    },
  };
}
