import type { JobEvent } from "./hub.ts";
import type { JobView } from "./job.ts";

type Counters = Pick<
  JobView,
  "total_repos" | "resolved_repos" | "processed_repos" | "failed_repos" | "total_records"
>;

export interface Screen {
  show(event: JobEvent): void;
  close(last?: string): void;
}

const barWidth = 24;
const plainEveryMs = 5000;

/** One line that is written over on a terminal, or a line every five seconds into a log. */
export function createScreen(out: { write(text: string): unknown }, isInteractive: boolean): Screen {
  const startedAt = Date.now();
  let counters: Counters | undefined;
  let stage = "";
  let writtenAt = 0;

  const draw = (isLast = false): void => {
    if (!counters) return;
    if (!isInteractive && !isLast && Date.now() - writtenAt < plainEveryMs) return;
    writtenAt = Date.now();
    const seconds = Math.max((writtenAt - startedAt) / 1000, 0.001);
    out.write(
      isInteractive ? `\r\u001b[2K${line(counters, stage, seconds)}` : `${line(counters, stage, seconds)}\n`,
    );
  };
  return {
    show(event) {
      if (event.type === "job_snapshot") {
        counters = event.job;
        stage = event.job.stage;
        const { plan } = event.job;
        if (plan) out.write(`by ${plan.method}: ${plan.why}\n`);
      } else if (event.type === "job_counters") counters = event;
      else if (event.type === "job_stage_changed") ({ stage } = event);
      else return;
      draw();
    },
    close(last) {
      draw(true);
      if (isInteractive && counters) out.write("\n");
      if (last !== undefined) out.write(`${last}\n`);
    },
  };
}

function line(
  { total_repos, processed_repos, failed_repos, total_records }: Counters,
  stage: string,
  seconds: number,
): string {
  const share = total_repos === 0 ? 0 : processed_repos / total_repos;
  const filled = Math.round(share * barWidth);
  const bar = `${"█".repeat(filled)}${"░".repeat(barWidth - filled)}`;
  const found = stage === "discovering_repos" ? "+" : "";
  const failed = failed_repos === 0 ? "" : `, ${failed_repos} failed`;
  return `${bar} ${processed_repos} of ${total_repos}${found} repos${failed}, ${total_records} records, ${Math.round(total_records / seconds)}/s`;
}

/** A job in one or a few lines. */
export function describeJob(job: JobView): string {
  const {
    id,
    status,
    collection,
    dids,
    processed_repos,
    total_repos,
    failed_repos,
    total_records,
    removed_records,
  } = job;
  const what = `${collection ?? "all collections"}${dids === null ? "" : ` of ${dids.length} accounts`}`;
  const counts = `${processed_repos} of ${total_repos} repos, ${total_records} records${removed_records === 0 ? "" : `, ${removed_records} removed`}`;
  const lines = [`${id}  ${status}  ${what}: ${counts}`];
  if (job.error !== null) lines.push(`  ${job.error}`);
  if (failed_repos > 0) {
    const kinds = Object.entries(job.error_counts).map(([kind, n]) => `${n} ${kind}`);
    lines.push(
      `  ${failed_repos} repos failed: ${kinds.join(", ")}; try them again: happyview backfill retry-failed ${id}`,
    );
  }
  return lines.join("\n");
}
