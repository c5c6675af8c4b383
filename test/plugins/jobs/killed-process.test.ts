import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { databases } from "../../setup/databases.ts";
import { start } from "./_bench.ts";

const program = fileURLToPath(new URL("worker-process.ts", import.meta.url));

describe.each(databases())("a killed process on $name", (subject) => {
  it("leaves its job to another, which starts it from the beginning", async () => {
    const database = await subject.open();
    onTestFinished(() => database.drop());
    const child = fork(program, {
      execArgv: ["--conditions=happyview-source"],
      env: { ...process.env, DATABASE_URL: database.url },
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const [id] = (await once(child, "message")) as [string];

    let runs = 0;
    const other = await start(database, {
      async handler(job) {
        runs += 1;
        return `the second process ran ${job.id}`;
      },
    });
    const beside = await other.create();
    await other.reaches(beside, "completed");
    // While the first process lives its job is its own.
    expect(await other.job(id)).toMatchObject({ status: "running", progress: { by: "the first process" } });
    expect(runs).toBe(1);

    child.kill("SIGKILL");
    await once(child, "exit");
    expect(await other.reaches(id, "completed")).toMatchObject({ result: `the second process ran ${id}` });
    expect(runs).toBe(2);
  });
});
