import { reply, type Reply } from "../../core/http/reply.ts";
import { countersOf, type Hub, type JobEvent } from "./hub.ts";
import { toView, type JobRow } from "./job.ts";
import type { Jobs } from "./jobs.ts";

const pollMs = 1000;
const keepAliveMs = 15_000;

/** Events that a slow reader has not taken yet; beyond that it gets counters and the end only. */
const maxBuffered = 1000;

const isOver = (status: JobRow["status"]): boolean => !["running", "pausing", "cancelling"].includes(status);

/**
 * Server-sent events of a job: a snapshot first, then what happens, and an end when the job ends or pauses. The job may
 * be worked on by another process, so its row is looked at too.
 */
export function eventStream(job: JobRow, jobs: Jobs, hub: Hub): Reply {
  const encoder = new TextEncoder();
  let leave = (): void => {};
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      start(controller) {
        const write = (text: string): void => controller.enqueue(encoder.encode(text));
        let counted = JSON.stringify(countersOf(job));
        const send = (event: JobEvent): void => {
          if (event.type === "job_counters") counted = JSON.stringify(event);
          if ((controller.desiredSize ?? 0) <= 0 && event.type.startsWith("repo_")) return;
          write(`event: event\ndata: ${JSON.stringify({ ...event, job_id: job.id })}\n\n`);
          if (event.type === "job_completed") end();
        };
        let known = job;
        const poll = setInterval(() => {
          void jobs.get(job.id).then((now) => {
            if (!now || isEnded) return;
            const counters = countersOf(now);
            if (JSON.stringify(counters) !== counted) send(counters);
            if (isOver(now.status))
              return send({ type: "job_completed", status: now.status, error: now.error });
            if (now.stage !== known.stage) send({ type: "job_stage_changed", stage: now.stage });
            known = now;
          }, end);
        }, pollMs);
        const alive = setInterval(() => write(":\n\n"), keepAliveMs);
        const stop = hub.listen(job.id, send);
        let isEnded = false;
        leave = () => {
          isEnded = true;
          clearInterval(poll);
          clearInterval(alive);
          stop();
        };
        const end = (): void => {
          if (isEnded) return;
          leave();
          controller.close();
        };
        send({ type: "job_snapshot", job: toView(job) });
        if (isOver(job.status)) send({ type: "job_completed", status: job.status, error: job.error });
      },
      cancel: () => leave(),
    },
    { highWaterMark: maxBuffered },
  );
  return reply(200, body, { "content-type": "text/event-stream", "cache-control": "no-cache" });
}
