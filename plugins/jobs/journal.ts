import type { PluginApp } from "../../core/index.ts";

/** A job that logs in a loop must not fill the disk. */
const maxLines = 10_000;
const maxLength = 10_000;

export interface Journal {
  write(level: "info" | "warn", message: string): Promise<void>;
}

/** The log of one run of a job. */
export function createJournal({ db, clock }: Pick<PluginApp, "db" | "clock">, jobId: string): Journal {
  let lines = 0;
  const insert = (level: string, message: string): Promise<number> =>
    db.run("INSERT INTO happyview_job_logs (job_id, level, message, created_at) VALUES (?, ?, ?, ?)", [
      jobId,
      level,
      message,
      clock.timestamp(),
    ]);
  return {
    async write(level, message) {
      if (++lines > maxLines + 1) return;
      if (lines > maxLines) await insert("warn", `more than ${maxLines} lines: the rest is left out`);
      else await insert(level, message.slice(0, maxLength));
    },
  };
}
