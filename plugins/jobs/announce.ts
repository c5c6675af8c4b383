import type { PluginApp } from "../../core/index.ts";
import type { JobRow } from "./job.ts";

/** Results beyond this are left to `GET /admin/jobs/:id`. */
const maxResultLength = 64 * 1024;

/** `job.started`, `job.completed`, …: the creator did it, to a job of that type (lua §1.7). */
export function announce(events: PluginApp["events"], what: string, row: JobRow): void {
  const detail: Record<string, unknown> = { job_id: row.id };
  if (what === "completed" && row.result !== null && row.result.length <= maxResultLength)
    detail["result"] = JSON.parse(row.result);
  if (what === "failed") detail["error"] = row.error;
  events.emit({
    type: `job.${what}`,
    severity: what === "failed" ? "error" : "info",
    actor: row.created_by,
    subject: row.job_type,
    detail,
  });
}
