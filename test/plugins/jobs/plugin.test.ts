import { describe, expect, it, onTestFinished } from "vitest";
import type { RunningJob } from "../../../plugins/jobs/index.ts";
import { limitedHeaders } from "../../setup/app.ts";
import { databases, type DatabaseSubject, type TestDatabase } from "../../setup/databases.ts";
import { creator, gate, start } from "./_bench.ts";

async function shared(subject: DatabaseSubject): Promise<TestDatabase> {
  const database = await subject.open();
  onTestFinished(() => database.drop());
  return database;
}

describe.each(databases())("jobs on $name", (subject) => {
  it("runs a job and keeps its result, progress and log", async () => {
    const bench = await start(subject, {
      async handler(job) {
        await job.progress({ done: 1 });
        await job.log("half");
        await job.warn("hm");
        return { got: job.input, by: job.createdBy, stop: await job.shouldStop() };
      },
    });
    const id = await bench.create({ n: 1 });
    const job = await bench.reaches(id, "completed");
    expect(job).toEqual({
      id,
      job_type: "happyview.test",
      status: "completed",
      input: { n: 1 },
      progress: { done: 1 },
      result: { got: { n: 1 }, by: creator, stop: false },
      error: null,
      created_by: creator,
      started_at: expect.any(String),
      completed_at: expect.any(String),
      created_at: expect.any(String),
      inherit_auth: false,
      api_client_id: null,
      dpop_key_id: null,
    });
    expect((await bench.admin("GET", `/${id}/logs`)).body).toEqual({
      logs: [
        { id: expect.any(Number), level: "info", message: "half", created_at: expect.any(String) },
        { id: expect.any(Number), level: "warn", message: "hm", created_at: expect.any(String) },
      ],
      cursor: null,
    });
    expect(bench.events.filter((event) => event.type.startsWith("job."))).toMatchObject([
      { type: "job.started", actor: creator, subject: "happyview.test", detail: { job_id: id } },
      { type: "job.completed", actor: creator, detail: { job_id: id, result: job.result } },
    ]);
  });

  it("keeps the error of a job that fails, and goes on with the next", async () => {
    const bench = await start(subject, {
      handler: async (job) => {
        if (job.input === "bad") throw new Error("no luck");
        return undefined;
      },
    });
    const bad = await bench.create("bad");
    const good = await bench.create("good");
    expect(await bench.reaches(bad, "failed")).toMatchObject({ error: "no luck", result: null });
    expect(await bench.reaches(good, "completed")).toMatchObject({ result: null });
    expect(bench.events.find((event) => event.type === "job.failed")).toMatchObject({
      severity: "error",
      detail: { error: "no luck" },
    });
  });

  it("fails a job that nobody handles", async () => {
    const bench = await start(subject);
    const id = await bench.jobs.create("reindex", {}, { createdBy: creator });
    expect(await bench.reaches(id, "failed")).toMatchObject({
      error: "no script found for trigger: job.run:reindex",
    });
  });

  it.each([
    ["", /^invalid job type '': must be 1–128 characters$/],
    ["x".repeat(129), /must be 1–128 characters$/],
    ["Bad Type", /^invalid job type 'Bad Type': must match \/\^\[a-z0-9\]\[a-z0-9\._-\]\*\$\/$/],
    ["happyview.test", /reserved/],
  ])("creates no job of type %j", async (type, message) => {
    const bench = await start(subject, { options: { workers: 0 } });
    await expect(bench.jobs.create(type, {}, { createdBy: creator })).rejects.toThrow(message);
    expect((await bench.admin("GET", "")).body).toEqual({ jobs: [], cursor: null });
  });

  it("changes a status only where that makes sense", async () => {
    const bench = await start(subject, { options: { workers: 0 } });
    const set = (id: string, status: string): Promise<number> =>
      bench.app.db.run("UPDATE happyview_jobs SET status = ?, lease_until = ? WHERE id = ?", [
        status,
        Number.MAX_SAFE_INTEGER, // held by somebody, so that it is not recovered
        id,
      ]);
    const table: [string, Record<"cancel" | "pause" | "resume", string | number>][] = [
      ["pending", { cancel: "cancelled", pause: 409, resume: 409 }],
      ["running", { cancel: "cancelling", pause: "pausing", resume: 409 }],
      ["pausing", { cancel: "cancelling", pause: 409, resume: 409 }],
      ["paused", { cancel: "cancelled", pause: 409, resume: "pending" }],
      ["completed", { cancel: 409, pause: 409, resume: 409 }],
      ["failed", { cancel: 409, pause: 409, resume: 409 }],
      ["cancelled", { cancel: 409, pause: 409, resume: 409 }],
    ];
    const id = await bench.create();
    for (const [from, acts] of table)
      for (const [act, expected] of Object.entries(acts)) {
        await set(id, from);
        const { status, body } = await bench.admin("POST", `/${id}/${act}`);
        const got = status === 200 ? (body as { status: string }).status : status;
        expect([from, act, got]).toEqual([from, act, expected]);
        expect((await bench.job(id)).status).toBe(typeof expected === "number" ? from : expected);
      }
    for (const act of ["cancel", "pause", "resume"])
      expect((await bench.admin("POST", `/nothing/${act}`)).status).toBe(404);
    expect((await bench.admin("GET", "/nothing")).status).toBe(404);
    expect((await bench.admin("GET", "/nothing/logs")).status).toBe(404);
  });

  it("pauses and cancels a running job when it looks, without a result, and resumes it from the start", async () => {
    let runs = 0;
    const bench = await start(subject, {
      async handler(job) {
        runs += 1;
        while (!(await job.shouldStop()) && runs < 3) await job.wait(3600);
        return `run ${runs}`;
      },
    });
    const id = await bench.create();
    await bench.reaches(id, "running");
    expect((await bench.admin("POST", `/${id}/pause`)).body).toEqual({ status: "pausing" });
    expect(await bench.reaches(id, "paused")).toMatchObject({
      result: null,
      error: null,
      completed_at: null,
    });
    await bench.admin("POST", `/${id}/resume`);
    await bench.reaches(id, "running");
    expect((await bench.admin("POST", `/${id}/cancel`)).body).toEqual({ status: "cancelling" });
    expect(await bench.reaches(id, "cancelled")).toMatchObject({ result: null, error: null });
    expect(runs).toBe(2);
    expect(bench.events.map((event) => event.type)).toEqual([
      "job.started",
      "job.paused",
      "job.started",
      "job.cancelled",
    ]);
  });

  it("ends a cancelled job that does not look", async () => {
    const bench = await start(subject, {
      options: { cancelGraceMs: 20 },
      handler: (job) =>
        new Promise((_, reject) => job.signal.addEventListener("abort", () => reject(job.signal.reason))),
    });
    const id = await bench.create();
    await bench.reaches(id, "running");
    await bench.admin("POST", `/${id}/cancel`);
    expect(await bench.reaches(id, "cancelled")).toMatchObject({ error: null });
  });

  it("lists newest first, by status, in pages", async () => {
    const bench = await start(subject, { options: { workers: 0 } });
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push(await bench.create(i));
    await bench.admin("POST", `/${ids[0]}/cancel`);
    const seen: string[] = [];
    for (let cursor = ""; ;) {
      const { body } = await bench.admin("GET", `?limit=2${cursor}`);
      const page = body as { jobs: { id: string }[]; cursor: string | null };
      seen.push(...page.jobs.map((job) => job.id));
      if (page.cursor === null) break;
      cursor = `&cursor=${page.cursor}`;
    }
    expect(seen).toEqual(ids.toReversed());
    const cancelled = (await bench.admin("GET", "?status=cancelled")).body as { jobs: { id: string }[] };
    expect(cancelled.jobs.map((job) => job.id)).toEqual([ids[0]]);
  });

  it("pages through a log, oldest first, and bounds it", async () => {
    const bench = await start(subject, {
      handler: async (job) => {
        for (let i = 0; i < 5; i++) await job.log(`line ${i}`);
        await job.log("x".repeat(20_000));
      },
    });
    const id = await bench.create();
    await bench.reaches(id, "completed");
    const seen: string[] = [];
    for (let cursor = ""; ;) {
      const { body } = await bench.admin("GET", `/${id}/logs?limit=4${cursor}`);
      const page = body as { logs: { message: string }[]; cursor: string | null };
      seen.push(...page.logs.map((line) => line.message));
      if (page.cursor === null) break;
      cursor = `&cursor=${page.cursor}`;
    }
    expect(seen.slice(0, 5)).toEqual([0, 1, 2, 3, 4].map((i) => `line ${i}`));
    expect(seen[5]).toHaveLength(10_000);
  });

  it("runs as many at once as it is told, and each once, in however many processes", async () => {
    const database = await shared(subject);
    const begun = new Map<string, number>();
    let busiest = 0;
    const processes = await Promise.all(
      [0, 1, 2].map(async () => {
        let running = 0;
        return start(database, {
          async handler(job) {
            begun.set(job.id, (begun.get(job.id) ?? 0) + 1);
            busiest = Math.max(busiest, ++running);
            await job.wait(0.01);
            running -= 1;
          },
        });
      }),
    );
    const ids: string[] = [];
    for (let i = 0; i < 30; i++) ids.push((await processes[i % 3]?.create(i)) ?? "");
    for (const id of ids) await processes[0]?.reaches(id, "completed");
    expect([...begun.values()]).toEqual(ids.map(() => 1));
    expect(busiest).toBeLessThanOrEqual(2);
  });

  it("gives its jobs back when the server stops, and another process runs them again", async () => {
    const database = await shared(subject);
    const handler = (job: RunningJob): Promise<void> => job.wait(3600);
    const first = await start(database, { handler });
    const id = await first.create();
    await first.reaches(id, "running");
    await first.app.close();
    const second = await start(database, { handler: async () => "done" });
    expect(await second.reaches(id, "completed")).toMatchObject({ result: "done" });
    expect(first.events.map((event) => event.type)).not.toContain("job.failed");
  });

  it("recovers the jobs of a process that is gone", async () => {
    const database = await shared(subject);
    const dead = await start(database, { options: { workers: 0 } });
    const left: Record<string, string> = { running: "completed", pausing: "paused", cancelling: "cancelled" };
    const ids = new Map<string, string>();
    for (const status of Object.keys(left)) {
      const id = await dead.create();
      await dead.app.db.run(
        "UPDATE happyview_jobs SET status = ?, claimed_by = 'gone', lease_until = 1 WHERE id = ?",
        [status, id],
      );
      ids.set(status, id);
    }
    const alive = await start(database);
    for (const [status, id] of ids) await alive.reaches(id, left[status] ?? "");
  });

  it("leaves a job alone whose lease another process keeps, and stores nothing of one it lost", async () => {
    const database = await shared(subject);
    const returned = gate();
    const lost = gate();
    const bench = await start(database, {
      options: { leaseMs: 1000 },
      async handler(job) {
        job.signal.addEventListener("abort", lost.open);
        await returned.opened;
        return "too late";
      },
    });
    const id = await bench.create();
    await bench.reaches(id, "running");
    await bench.app.db.run(
      "UPDATE happyview_jobs SET claimed_by = 'another', lease_until = lease_until + 600000 WHERE id = ?",
      [id],
    );
    await lost.opened;
    returned.open();
    const next = await bench.create();
    await bench.reaches(next, "completed");
    expect(await bench.job(id)).toMatchObject({ status: "running", result: null });
  });

  it("asks for the right permission", async () => {
    const bench = await start(subject, { options: { workers: 0 } });
    const routes = ["GET ", "GET /x", "GET /x/logs", "POST /x/cancel", "POST /x/pause", "POST /x/resume"];
    for (const route of routes) {
      const [method = "", path = ""] = route.split(" ");
      const ask = (headers: Record<string, string>): Promise<Response> =>
        bench.request(`/admin/jobs${path}`, { method, headers });
      expect([route, (await ask({})).status]).toEqual([route, 401]);
      expect(await (await ask(limitedHeaders)).json()).toMatchObject({
        message: `Missing permission: jobs:${method === "GET" ? "read" : "manage"}`,
      });
    }
  });
});
