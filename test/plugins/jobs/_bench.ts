import { expect, onTestFinished } from "vitest";
import type { LogEvent } from "../../../core/events.ts";
import { definePlugin, type Plugin } from "../../../core/plugin.ts";
import { jobs, type JobHandler, type JobsApi, type JobsOptions } from "../../../plugins/jobs/index.ts";
import { adminHeaders, limitedCaller, startApp, type TestApp } from "../../setup/app.ts";
import type { DatabaseSubject, TestDatabase } from "../../setup/databases.ts";
import { jsonBody } from "../../suites/http/subject.ts";

export const creator = "did:plc:creator";

export interface Job {
  id: string;
  job_type: string;
  status: string;
  input: unknown;
  progress: unknown;
  result: unknown;
  error: string | null;
  created_by: string | null;
  started_at: string | null;
  completed_at: string | null;
  created_at: string;
  inherit_auth: boolean;
}

export interface Bench extends TestApp {
  jobs: JobsApi;
  events: LogEvent[];
  /** Queues a job of the type that `handler` serves. */
  create(input?: unknown): Promise<string>;
  admin(method: string, path: string): Promise<{ status: number; body: never }>;
  job(id: string): Promise<Job>;
  /** Waits until the job has a status, and gives it. */
  reaches(id: string, status: string): Promise<Job>;
  script(type: string, body: string): Promise<void>;
}

export interface Setup {
  handler?: JobHandler;
  options?: JobsOptions;
  plugins?: Plugin[];
}

/** An app that serves `happyview.test` jobs, on a database of its own or one that several share. */
export async function start(database: DatabaseSubject | TestDatabase, setup: Setup = {}): Promise<Bench> {
  const events: LogEvent[] = [];
  let create: Bench["create"] = () => Promise.reject(new Error("not set up"));
  const tester = definePlugin({
    name: "tester",
    needs: { jobs },
    setup(app, _options: object, apis) {
      app.hook("event", (event) => void events.push(event));
      const own = apis.jobs.define("happyview.test", setup.handler ?? (async () => null));
      create = (input = {}) => own.create(input, { createdBy: creator });
    },
  });
  const subject: DatabaseSubject =
    "open" in database
      ? database
      : { name: "sqlite", open: async () => ({ url: database.url, drop: async () => {} }) };
  const test = await startApp(subject, {
    plugins: [
      jobs({ pollMs: 50, leaseMs: 10_000, ...setup.options }),
      tester(),
      limitedCaller(),
      ...(setup.plugins ?? []),
    ],
  });
  onTestFinished(test.stop);
  const admin = async (method: string, path: string): Promise<{ status: number; body: never }> => {
    const response = await test.request(`/admin/jobs${path}`, { method, headers: adminHeaders });
    return { status: response.status, body: (await response.json()) as never }; // each test says what it expects
  };
  const job = async (id: string): Promise<Job> => (await admin("GET", `/${id}`)).body;
  return {
    ...test,
    jobs: test.app.api("jobs") as JobsApi,
    events,
    create: (input) => create(input),
    admin,
    job,
    async reaches(id, status) {
      await expect.poll(async () => (await job(id)).status, { timeout: 30_000, interval: 10 }).toBe(status);
      return job(id);
    },
    async script(type, body) {
      const script = { id: `job.run:${type}`, body };
      const response = await test.request("/admin/scripts", jsonBody("POST", script, adminHeaders));
      expect(response.status).toBe(201);
    },
  };
}

/** A promise that a test opens by hand. */
export function gate(): { opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}
