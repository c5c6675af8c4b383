import { describe, expect, it, onTestFinished } from "vitest";
import type { PdsAnswer, PdsWriter } from "../../../plugins/lua-scripts/host/pds.ts";
import { luaScripts } from "../../../plugins/lua-scripts/index.ts";
import { adminHeaders } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { creator, start, type Bench } from "./_bench.ts";

/** One app per dialect would do for most; its own for each keeps what they queue apart. */
async function run(bench: Bench, body: string, input: unknown = {}, status = "completed"): Promise<unknown> {
  await bench.script("task", body);
  const id = await bench.jobs.create("task", input, { createdBy: creator });
  const job = await bench.reaches(id, status);
  return status === "failed" ? job.error : job.result;
}

describe.each(databases())("Lua jobs on $name", (subject) => {
  const open = (): Promise<Bench> => start(subject, { plugins: [luaScripts({ workers: 2 })] });

  it("sees its input, id and creator, and returns a result", async () => {
    const bench = await open();
    const body = `function handle()
      return { n = job.input.n + 1, id = type(job.id), by = caller_did, kind = math.type(job.input.n) }
    end`;
    expect(await run(bench, body, { n: 4 })).toEqual({ n: 5, id: "string", by: creator, kind: "integer" });
  });

  it.each([
    ["nothing", "return nil", null],
    ["what has no JSON form", "return print", null],
  ])("stores null for %s", async (_, body, result) => {
    expect(await run(await open(), `function handle()\n${body}\nend`)).toBe(result);
  });

  it("fails with the category and the line", async () => {
    const body = "function handle()\n  local x = nil\n  return x.y\nend";
    expect(await run(await open(), body, {}, "failed")).toMatch(
      /^runtime: .*:3: attempt to index a nil value/,
    );
  });

  it("has no instruction limit", async () => {
    const body = "function handle()\n  local n = 0\n  for i = 1, 60000000 do n = n + 1 end\n  return n\nend";
    expect(await run(await open(), body)).toBe(60_000_000);
  });

  it("reports progress, writes its log, and waits a negative time for free", async () => {
    const bench = await open();
    await bench.script(
      "task",
      `function handle()
        job.progress({ done = 1 })
        job.log("one")
        job.warn("two")
        job.wait(-5)
        return job.should_stop()
      end`,
    );
    const id = await bench.jobs.create("task", {}, { createdBy: creator });
    expect(await bench.reaches(id, "completed")).toMatchObject({ progress: { done: 1 }, result: false });
    const { logs } = (await bench.admin("GET", `/${id}/logs`)).body as { logs: unknown[] };
    expect(logs).toMatchObject([
      { level: "info", message: "one" },
      { level: "warn", message: "two" },
    ]);
  });

  it.each([
    ["pause", "paused"],
    ["cancel", "cancelled"],
  ])("ends on a %s, even while it waits", async (act, status) => {
    const bench = await open();
    await bench.script(
      "task",
      "function handle()\n  while not job.should_stop() do job.wait(3600) end\n  return 1\nend",
    );
    const id = await bench.jobs.create("task", {}, { createdBy: creator });
    await bench.reaches(id, "running");
    await bench.admin("POST", `/${id}/${act}`);
    expect(await bench.reaches(id, status)).toMatchObject({ result: null, error: null });
  });

  it("is ended when it is cancelled and never looks", async () => {
    const bench = await start(subject, {
      options: { cancelGraceMs: 50 },
      plugins: [luaScripts({ workers: 2 })],
    });
    await bench.script("task", "function handle() while true do end end");
    const id = await bench.jobs.create("task", {}, { createdBy: creator });
    await bench.reaches(id, "running");
    await bench.admin("POST", `/${id}/cancel`);
    await bench.reaches(id, "cancelled");
    await bench.script("other", "function handle() return 'free' end");
    const next = await bench.jobs.create("other", {}, { createdBy: creator });
    expect(await bench.reaches(next, "completed")).toMatchObject({ result: "free" });
  });

  it("holds up no other script, however many jobs never end", async () => {
    const bench = await start(subject, {
      options: { cancelGraceMs: 50 },
      plugins: [luaScripts({ workers: 1 })],
    });
    await bench.script("task", "function handle() while true do end end");
    const ids = [
      await bench.jobs.create("task", {}, { createdBy: creator }),
      await bench.jobs.create("task", {}, { createdBy: creator }),
    ];
    for (const id of ids) await bench.reaches(id, "running");
    await bench.script("other", "function handle() return 1 end"); // its text is checked by running it
    for (const id of ids) await bench.admin("POST", `/${id}/cancel`);
    for (const id of ids) await bench.reaches(id, "cancelled");
  });

  it("starts again elsewhere when the server stops in the middle", async () => {
    const database = await subject.open();
    onTestFinished(() => database.drop());
    const first = await start(database, { plugins: [luaScripts({ workers: 1 })] });
    await first.script(
      "task",
      "function handle()\n  if job.input.wait then job.wait(3600) end\n  return 1\nend",
    );
    const id = await first.jobs.create("task", { wait: true }, { createdBy: creator });
    await first.reaches(id, "running");
    await first.app.close();
    const second = await start(database, { options: { workers: 0 } });
    expect(await second.job(id)).toMatchObject({ status: "pending", error: null });
  });

  it("creates further jobs in the name of its creator, with numbers kept exact", async () => {
    const bench = await open();
    await bench.script("child", "function handle() return job.input.n end");
    const body = `function handle()
      local ok, err = pcall(jobs.create, "Not A Type", {})
      return { id = jobs.create("child", { n = 9007199254740993 }), err = err }
    end`;
    const { id, err } = (await run(bench, body)) as { id: string; err: string };
    expect(err).toContain("invalid job type 'Not A Type'");
    expect(await bench.reaches(id, "completed")).toMatchObject({ job_type: "child", created_by: creator });
    const raw = await (await bench.request(`/admin/jobs/${id}`, { headers: adminHeaders })).text();
    expect(raw).toContain('"input":{"n":9007199254740993}');
    expect(raw).toContain('"result":9007199254740993');
  });

  it("reads its creator's jobs, and those of all", async () => {
    const bench = await open();
    await bench.script("done", "function handle() return { n = 9007199254740993 } end");
    await bench.script("wrong", "function handle() error('no luck', 0) end");
    const mine = await bench.jobs.create("done", { a: 1 }, { createdBy: creator, auth: false });
    const other = await bench.jobs.create("wrong", {}, { createdBy: "did:plc:other" });
    await bench.reaches(mine, "completed");
    await bench.reaches(other, "failed");
    const body = `
      local jobs, json = require("happyview.jobs"), require("internal.json")
      local function ids(options)
        local list = {}
        for i, one in ipairs(jobs.list_any(options)) do list[i] = one.id end
        return list
      end
      function handle(input, ctx)
        local mine, other = jobs.get(input.mine), jobs.get_any(input.other)
        return {
          mine = json.encode(mine.result) .. json.encode(mine.input) .. mine.status,
          absent = mine.error == nil and mine.progress == nil and mine.dpop_key_id == nil and mine.inherit_auth == nil,
          other = { other.error, other.created_by, type(other.result) },
          hidden = jobs.get(input.other) == nil, none = jobs.get_any("none") == nil,
          newest = ids()[1] == ctx.job.id,
          failed = ids({ status = "failed" }), both = ids({ status = { "failed", "completed" } }),
          typed = ids({ job_type = "done" }), one = #ids({ limit = 1 }), few = #ids({ limit = -5 }),
          nothing = json.encode(jobs.list_any({ status = "odd" })),
          every = #ids({ status = {} }),
        }
      end`;
    expect(await run(bench, body, { mine, other })).toEqual({
      mine: '{"n":9007199254740993}{"a":1}completed',
      absent: true,
      other: [expect.stringContaining("no luck"), "did:plc:other", "nil"],
      hidden: true,
      none: true,
      newest: true,
      failed: [other],
      both: [other, mine],
      typed: [mine],
      one: 1,
      few: 1,
      nothing: "[]",
      every: 3,
    });
  });

  it.each([
    ["get()", "happyview-jobs.get: BAD_INPUT: the id must be a string"],
    ["get_any({})", "happyview-jobs.get_any: BAD_INPUT: the id must be a string"],
    ["list_any(5)", "happyview-jobs.list_any: BAD_INPUT: the options must be a table"],
    ["create({})", "happyview-jobs.create: BAD_INPUT: the job type must be a string"],
    ["create('x', {}, 5)", "happyview-jobs.create: BAD_INPUT: the options must be a table"],
    ["create('A B', {})", "happyview-jobs.create: BAD_INPUT: invalid job type 'A B'"],
    ["create('happyview.x', {})", "happyview-jobs.create: BAD_INPUT: job type 'happyview.x' is reserved"],
  ])("names the code of what is wrong with jobs.%s", async (call, message) => {
    const body = `function handle() return select(2, pcall(function() return require("happyview.jobs").${call} end)) end`;
    expect(await run(await open(), body)).toContain(message);
  });

  it("reads no more at once than memory has room for", async () => {
    const bench = await start(subject, { options: { workers: 0 } });
    const large = "x".repeat(3 * 1024 * 1024);
    for (let i = 0; i < 6; i++) await bench.jobs.create("large", large, { createdBy: creator });
    await expect(bench.jobs.list({ type: "large", limit: 6 })).rejects.toThrow(RangeError);
    expect(JSON.parse(await bench.jobs.list({ type: "large", limit: 5 }))).toHaveLength(5);
  });

  it("acts with its creator's session when it was created so", async () => {
    const asked: unknown[] = [];
    const pds: PdsWriter = {
      async session({ caller }) {
        asked.push(caller.did);
        const answer = async (): Promise<PdsAnswer> => ({ status: 200, body: "{}" });
        return caller.did === creator ? { post: answer, upload: answer } : undefined;
      },
    };
    const bench = await start(subject, { plugins: [luaScripts({ workers: 2, pds })] });
    await bench.script("task", "function handle(input, ctx) return ctx.has_pds_auth end");
    const create = (createdBy: string, auth: boolean): Promise<string> =>
      bench.jobs.create("task", {}, { createdBy, auth });
    expect(await bench.reaches(await create(creator, true), "completed")).toMatchObject({ result: true });
    expect(await bench.reaches(await create(creator, false), "completed")).toMatchObject({ result: false });
    expect(await bench.reaches(await create("did:plc:other", true), "failed")).toMatchObject({
      error: "failed to obtain PDS auth for did:plc:other: it has no session",
    });
    expect(asked).toEqual([creator, "did:plc:other"]);
  });

  it("fails without a script, and without the session it should act with", async () => {
    const bench = await open();
    const none = await bench.jobs.create("none", {}, { createdBy: creator });
    expect(await bench.reaches(none, "failed")).toMatchObject({
      error: "no script found for trigger: job.run:none",
    });
    await bench.script("task", "function handle() return 1 end");
    const authed = await bench.jobs.create("task", {}, { createdBy: creator, auth: true });
    expect(await bench.reaches(authed, "failed")).toMatchObject({
      inherit_auth: true,
      error: expect.stringMatching(new RegExp(`^failed to obtain PDS auth for ${creator}: `)),
    });
  });
});
