import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { PluginApp } from "../../../core/index.ts";
import { definePlugin } from "../../../core/plugin.ts";
import { followTable, type Follower } from "../../../plugins/lua-scripts/follow.ts";
import { migrations } from "../../../plugins/lua-scripts/migrations.ts";
import { createScripts, type Scripts } from "../../../plugins/lua-scripts/scripts.ts";
import { createVariables, type Variables } from "../../../plugins/lua-scripts/variables.ts";
import { adminHeaders, startApp, type TestApp } from "../../setup/app.ts";
import { databases, type DatabaseSubject } from "../../setup/databases.ts";
import { jsonBody } from "../../suites/http/subject.ts";

interface Process extends TestApp {
  scripts: Scripts;
  variables: Variables;
}

async function start(subject: DatabaseSubject, now?: () => number): Promise<Process> {
  const parts: Partial<Pick<Process, "scripts" | "variables">> = {};
  const plugin = definePlugin({
    name: "lua-scripts",
    migrations,
    async setup(app) {
      parts.scripts = await createScripts(app, 20);
      parts.variables = await createVariables(app, 20);
    },
  });
  const app = await startApp(subject, { plugins: [plugin()] }, now ? { now } : {});
  onTestFinished(app.stop);
  const { scripts, variables } = parts;
  if (!scripts || !variables) throw new Error("the plugin was not set up");
  return { ...app, scripts, variables };
}

describe.each(databases())("two processes on one database, $name", (subject) => {
  const id = "record.index:org.example.note";
  const bodyOf = ({ scripts }: Process): string | undefined => scripts.get(id)?.body;

  async function share(): Promise<DatabaseSubject> {
    const { url, drop } = await subject.open();
    onTestFinished(drop);
    return { ...subject, open: async () => ({ url, drop: async () => {} }) };
  }

  test("see each other's scripts and variables", async () => {
    const shared = await share();
    const one = await start(shared);
    const two = await start(shared);

    await one.scripts.put(id, { body: "first" }, { origin: "admin" });
    await vi.waitFor(() => expect(bodyOf(two)).toBe("first"));
    await two.scripts.put(id, { body: "second" }, { origin: "admin" });
    await vi.waitFor(() => expect(bodyOf(one)).toBe("second"));
    await one.scripts.remove(id);
    await vi.waitFor(() => expect(bodyOf(two)).toBeUndefined());

    const path = "/admin/script-variables";
    await one.request(path, jsonBody("POST", { key: "A", value: "secret-of-one" }, adminHeaders));
    await vi.waitFor(() => expect(two.variables.env()).toEqual({ A: "secret-of-one" }));
    expect(two.variables.mask("it is secret-of-one")).toBe("it is <env.A>");
    await two.request(`${path}/A`, { method: "DELETE", headers: adminHeaders });
    await vi.waitFor(() => expect(one.variables.env()).toEqual({}));
  });

  test("see an edit of the one whose clock is behind", async () => {
    const shared = await share();
    const one = await start(shared);
    const two = await start(shared, () => Date.now() - 3_600_000);
    await one.scripts.put(id, { body: "first" }, { origin: "admin" });
    await one.scripts.put("record.index:org.example.newest", { body: "" }, { origin: "admin" });
    const all = ({ scripts }: Process): number => scripts.list().length;
    await vi.waitFor(() => expect(all(two)).toBe(2));
    // Until `one` has read its own edits back: the next reload is for what `two` writes.
    await new Promise((done) => void setTimeout(done, 200));
    await two.scripts.put(id, { body: "second" }, { origin: "admin" });
    await vi.waitFor(() => expect(bodyOf(one)).toBe("second"));
  });
});

describe("a followed table", () => {
  /** The follower of a table whose state and rows the test decides about. */
  function follow(read: () => Promise<string>) {
    const seen = { rows: "", state: 1, warnings: 0, isDown: false };
    const closers: (() => unknown)[] = [];
    const app = {
      db: {
        all: async () => {
          if (seen.isDown) throw new Error("down");
          return [{ id: "a", updated_at: String(seen.state) }];
        },
      },
      log: { warn: () => void seen.warnings++ },
      hook: (_: string, ready: () => unknown) => void ready(),
      onClose: (close: () => unknown) => void closers.push(close),
    } as unknown as PluginApp; // only what followTable takes
    const follower: Follower = followTable(app, {
      table: "t",
      key: "id",
      read,
      apply: (rows) => void (seen.rows = rows),
      everyMs: 5,
    });
    onTestFinished(async () => {
      for (const close of closers) await close();
    });
    return { seen, follower };
  }

  test("an edit is not undone by a reload that began before it", async () => {
    const { promise: old, resolve } = Promise.withResolvers<string>();
    const read = vi.fn(() => old);
    const { seen, follower } = follow(read);
    await vi.waitFor(() => expect(read).toHaveBeenCalledOnce());
    seen.rows = "edited";
    follower.edited();
    read.mockResolvedValue("edited, and more");
    resolve("old");
    await old;
    const rows = new Set<string>();
    await vi.waitFor(() => {
      rows.add(seen.rows);
      expect(seen.rows).toBe("edited, and more");
    });
    expect(rows).not.toContain("old");
  });

  test("is read only when it has changed; a database that is down is told once", async () => {
    const read = vi.fn(async () => "rows");
    const { seen } = follow(read);
    const pause = (): Promise<void> => new Promise((done) => void setTimeout(done, 60));
    await pause();
    expect(read).toHaveBeenCalledOnce();
    seen.isDown = true;
    await pause();
    expect(seen.warnings).toBe(1);
    Object.assign(seen, { isDown: false, state: 2 });
    await vi.waitFor(() => expect(read).toHaveBeenCalledTimes(2));
  });
});
