import { Registry } from "prom-client";
import { afterEach, describe, expect, test, vi } from "vitest";
import { connect, type Database } from "../../core/db/database.ts";
import { createLeader, type Leader } from "../../core/leader.ts";
import { databases, migrated, type DatabaseSubject } from "../setup/databases.ts";
import { createRecordingLog, silent } from "../setup/log.ts";
import { commit, createBench } from "./records/_pipeline.ts";

const quick = { retryMs: 20, beatMs: 50 };
const [, postgres] = databases() as [DatabaseSubject, DatabaseSubject];
const eventually = <T>(check: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(check, { timeout: 15_000, interval: 5 });

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const leader of open.splice(0)) await leader.close();
});

function candidate(db: Database, log = silent): Leader & { metrics: Registry } {
  const metrics = new Registry();
  const leader = createLeader({ db, log, metrics, ...quick });
  open.push(leader);
  return { ...leader, metrics };
}

/** Work that lasts as long as the lead, and notes when it began and ended. */
function work(notes: string[], name: string) {
  return async (signal: AbortSignal, epoch: number): Promise<void> => {
    notes.push(`${name} begins ${epoch}`);
    await new Promise<void>((end) => signal.addEventListener("abort", () => end()));
    notes.push(`${name} ends`);
  };
}

describe.each(databases())("a leader on $name", (subject) => {
  test("works until it is closed, and tells its role", async () => {
    await using db = await migrated(subject);
    const notes: string[] = [];
    const leader = candidate(db);
    const lead = leader.while("sweep", work(notes, "one"));
    await eventually(() => expect(notes).toEqual(["one begins 1"]));
    expect(lead.leads).toBe(true);
    expect(leader.check()).toEqual({ ok: true, detail: { sweep: "leader" } });
    expect(await leader.metrics.metrics()).toContain('happyview_leader{name="sweep"} 1');
    await lead.close();
    expect(notes).toEqual(["one begins 1", "one ends"]);
    expect(lead.leads).toBe(false);
    leader.while("sweep", work(notes, "two"));
    await eventually(() => expect(notes.at(-1)).toBe("two begins 2"));
  });

  test("work that throws is told and begins again", async () => {
    await using db = await migrated(subject);
    const { log, messages } = createRecordingLog();
    let runs = 0;
    candidate(db, log).while("sweep", async () => {
      runs += 1;
      throw new Error("no");
    });
    await eventually(() => expect(runs).toBeGreaterThan(2));
    expect(messages("error")).toContain("the work of a leader failed");
  });

  test("two owners of one name are an error", async () => {
    await using db = await migrated(subject);
    const leader = candidate(db);
    leader.while("sweep", work([], "one"));
    expect(() => leader.while("sweep", work([], "two"))).toThrow('lead "sweep"');
  });

  test("what an earlier leader writes late does not move a position", async () => {
    await using db = await migrated(subject);
    const { pipeline } = createBench(db);
    const at = (position: string, epoch: number) => ({
      source: "s",
      position,
      epoch,
      timeUs: Number(position),
    });
    void pipeline.ingest(commit("create", 1), at("10", 2));
    await pipeline.flush();
    void pipeline.ingest(commit("create", 2), at("20", 1));
    void pipeline.skip(at("30", 1));
    await pipeline.flush();
    expect(await pipeline.position("s")).toBe("10");
    void pipeline.ingest(commit("create", 3), at("5", 2));
    await pipeline.flush();
    expect(await db.get("SELECT position, time_us, epoch FROM happyview_stream_positions")).toEqual({
      position: "5",
      time_us: 5,
      epoch: 2,
    });
    await pipeline.close();
  });
});

describe("several leaders on postgres", () => {
  test("exactly one works, and hands over when it closes", async () => {
    await using db = await migrated(postgres);
    const notes: string[] = [];
    const leaders = ["a", "b", "c"].map((name) => candidate(db).while("sweep", work(notes, name)));
    await eventually(() => expect(notes).toHaveLength(1));
    for (let round = 1; round < 3; round++) {
      const first = leaders.find(({ leads }) => leads);
      await first?.close();
      await eventually(() => expect(notes).toHaveLength(1 + 2 * round));
      expect(notes.at(-2)).toContain("ends"); // the old one had ended before the new one began
      expect(notes.at(-1)).toContain(`begins ${round + 1}`);
    }
    expect(leaders.filter(({ leads }) => leads)).toHaveLength(1);
  });

  test("different names have leaders of their own", async () => {
    await using db = await migrated(postgres);
    const notes: string[] = [];
    const [one, two] = [candidate(db), candidate(db)];
    one.while("sweep", work(notes, "one"));
    await eventually(() => expect(notes).toEqual(["one begins 1"]));
    two.while("labels", work(notes, "two"));
    await eventually(() => expect(notes).toEqual(["one begins 1", "two begins 1"]));
  });

  test("a lost connection ends the work at once, and somebody leads again", async () => {
    await using db = await migrated(postgres);
    const notes: string[] = [];
    const { log, messages } = createRecordingLog();
    const first = candidate(db, log).while("sweep", work(notes, "first"));
    await eventually(() => expect(first.leads).toBe(true));
    candidate(db).while("sweep", work(notes, "second"));
    const kill = (): Promise<unknown> =>
      db.all(
        "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE application_name = 'happyview leader' AND datname = current_database()",
      );
    for (const leads of [1, 2, 3]) {
      await eventually(() => expect(notes.filter((note) => note.includes("begins"))).toHaveLength(leads));
      await kill();
    }
    await eventually(() => expect(notes.at(-1)).toContain("begins 4"));
    expect(notes.filter((note) => note.includes("ends"))).toHaveLength(3);
    expect(messages("warn")).toContain("this process no longer leads");
  });

  test("a lead that another process has counted since is given up, whatever the lock says", async () => {
    await using db = await migrated(postgres);
    const notes: string[] = [];
    const { log, lines } = createRecordingLog();
    candidate(db, log).while("sweep", work(notes, "one"));
    await eventually(() => expect(notes).toEqual(["one begins 1"]));
    await db.run("UPDATE happyview_leads SET epoch = 2");
    await eventually(() => expect(notes).toEqual(["one begins 1", "one ends", "one begins 3"]));
    expect(lines).toContainEqual(expect.objectContaining({ reason: expect.stringContaining("pooler") }));
  });

  test("a database that is away is waited for", async () => {
    const { url, drop } = await postgres.open();
    const db = await connect({ url, maxConnections: 2 });
    const { log, messages } = createRecordingLog();
    const lead = candidate(db, log).while("sweep", work([], "one")); // there is no table yet
    await eventually(() => expect(messages("debug").length).toBeGreaterThan(1));
    expect(messages("warn")).toEqual(["the leader cannot be found out; trying again"]);
    await db.run("CREATE TABLE happyview_leads (name TEXT PRIMARY KEY, epoch BIGINT NOT NULL)");
    await eventually(() => expect(lead.leads).toBe(true));
    await lead.close();
    await db.close();
    await drop();
  });
});
