import { randomUUID } from "node:crypto";
import { definePlugin } from "../../core/index.ts";
import { jobsAdmin } from "./admin.ts";
import { createArchive } from "./archive.ts";
import { checkJobType, isNative, toJsonText, type JobHandler } from "./job.ts";
import { migrations } from "./migrations.ts";
import { createQueue } from "./queue.ts";
import { createReaders, type JobReaders } from "./readers.ts";
import { createRunner } from "./runner.ts";
import { createWorkers } from "./workers.ts";

export interface JobsOptions {
  /** Jobs that run at once in this process; 0 leaves them to other processes. @default 2 */
  workers?: number;
  /** How often the queue is asked for jobs that other processes created, in milliseconds. @default 5000 */
  pollMs?: number;
  /** A process that is silent for this long is taken for dead, and its jobs run again. @default 15_000 */
  leaseMs?: number;
  /** A cancelled job that has not returned after this is ended. @default 60_000 */
  cancelGraceMs?: number;
}

export interface JobOrigin {
  /** The account in whose name it runs. */
  createdBy: string | null;
  /** True when it may use that account's session. @default false */
  auth?: boolean;
}

/** What other plugins get. */
export interface JobsApi extends JobReaders {
  /** Jobs that run at once in this process. */
  readonly workers: number;
  /**
   * A job type of a plugin, named `happyview.*`. Only the holder of the result can create such jobs.
   * @example const reindex = jobs.define("happyview.reindex", async (job) => { … });
   *          await reindex.create({ collection }, { createdBy: caller.did });
   */
  define(type: string, handler: JobHandler): { create(input: unknown, by: JobOrigin): Promise<string> };
  /** Handles every type that no plugin defines. */
  fallback(handler: JobHandler): void;
  /** Queues a job of the fallback's; its id. @throws TypeError for a type that is invalid or reserved */
  create(type: string, input: unknown, by: JobOrigin): Promise<string>;
}

export { rawJson, type JobHandler, type RawJson, type RunningJob } from "./job.ts";

const maxInputLength = 4 * 1024 * 1024;

/**
 * A durable queue (lua §1.7): jobs survive restarts, run at least once, and never twice at the same time, in however
 * many processes. `/admin/jobs` shows, pauses and cancels them.
 */
export const jobs = definePlugin({
  name: "jobs",
  migrations,
  setup(app, options: JobsOptions): JobsApi {
    const { workers: count = 2, pollMs = 5000, leaseMs = 15_000, cancelGraceMs = 60_000 } = options;
    const handlers = new Map<string, JobHandler>();
    let fallback: JobHandler | undefined;
    const handlerFor = (type: string): JobHandler => {
      const handler = handlers.get(type) ?? (isNative(type) ? undefined : fallback);
      if (handler) return handler;
      throw new Error(
        isNative(type)
          ? `no plugin handles jobs of type ${type}`
          : `no script found for trigger: job.run:${type}`,
      );
    };
    const queue = createQueue(app, leaseMs);
    const runner = createRunner({ app, queue, handlerFor, leaseMs, cancelGraceMs });
    const workers = createWorkers({ app, queue, runner, count, pollMs });
    const archive = createArchive(app.db);
    jobsAdmin(app, queue, archive, (id) => {
      runner.nudge(id);
      workers.wake();
    });
    app.hook("app:ready", () => {
      // Registered last and so closed first: jobs are given back while all that they use still works.
      app.onClose(() => workers.close());
      workers.start();
    });

    const add = async (
      type: string,
      input: unknown,
      { createdBy, auth = false }: JobOrigin,
    ): Promise<string> => {
      const text = toJsonText(input) ?? "{}";
      if (text.length > maxInputLength)
        throw new Error(`the input is ${text.length} characters long, more than ${maxInputLength}`);
      const id = randomUUID();
      await queue.add({ id, type, input: text, createdBy, auth });
      workers.wake();
      return id;
    };
    return {
      ...createReaders(archive),
      workers: count,
      define(type, handler) {
        checkJobType(type);
        if (!isNative(type))
          throw new Error(`[jobs] the type of a plugin's job begins with happyview.: ${type}`);
        if (handlers.has(type)) throw new Error(`[jobs] two plugins define the job type ${type}`);
        handlers.set(type, handler);
        return { create: (input, by) => add(type, input, by) };
      },
      fallback: (handler) => void (fallback = handler),
      async create(type, input, by) {
        checkJobType(type);
        if (isNative(type)) throw new TypeError(`job type '${type}' is reserved for native jobs`);
        return add(type, input, by);
      },
    };
  },
});
