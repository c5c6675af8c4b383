import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { startServer } from "../../core/convergence/_process.ts";
import { eventually, type Instance } from "./_bench.ts";
import type { Task } from "./_server.ts";

/** A process that works on the jobs of databases. */
export const program = fileURLToPath(new URL("_server.ts", import.meta.url));

/** What happens to a job from its start to its end. */
export const ways = ["runs through", "is paused and resumed", "is killed and started again"] as const;
export type Way = (typeof ways)[number];

/** A job that cannot end before it was interrupted. */
export interface Held {
  id: string;
  /** It is in the middle of its work. */
  hasBegun(): boolean | Promise<boolean>;
  /** From now on it can end. */
  open(): void;
}

export async function pauseAndResume({ id, hasBegun, open }: Held, instance: Instance): Promise<void> {
  await eventually(async () => expect(await hasBegun()).toBe(true));
  await instance.ask(`POST /backfill/${id}/pause`);
  await instance.reaches(id, "paused");
  open();
  await instance.ask(`POST /backfill/${id}/resume`);
}

/** Another process works on these jobs until all are in the middle of their work, and is killed. */
export async function workAndKill(tasks: readonly Task[], jobs: readonly Held[]): Promise<void> {
  const child = startServer({ TASKS: JSON.stringify(tasks) }, program);
  await child.until(async () => (await Promise.all(jobs.map((job) => job.hasBegun()))).every(Boolean));
  await child.kill("SIGKILL");
  for (const { open } of jobs) open();
}
