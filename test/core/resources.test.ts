import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { HappyViewError } from "../../core/errors.ts";
import { hashOf, readFolder, type SourceFile } from "../../core/resources/files.ts";
import type { ResourceKind, StoredResource } from "../../core/resources/kind.ts";
import { planResources } from "../../core/resources/reconcile.ts";
import { createResources } from "../../core/resources/resources.ts";
import { createRecordingLog } from "../setup/log.ts";

interface Stored extends StoredResource {
  value: string;
}

/** A kind in memory: a file is `name.note`, its text the value; "broken" does not parse, "unstorable" cannot be put. */
function createNotes(): {
  kind: ResourceKind<string>;
  rows: Map<string, Stored>;
  admin(id: string, value: string): void;
} {
  const rows = new Map<string, Stored>();
  const kind: ResourceKind<string> = {
    kind: "note",
    folder: "notes",
    idOf(path) {
      if (path === "README.md") return null;
      if (path.endsWith(".note")) return path.slice(0, -".note".length).split("/").at(-1) ?? "";
      throw new HappyViewError("RESOURCE_PATH", { message: `${path} is no note`, hint: "end it in .note" });
    },
    parse(file) {
      if (file.text === "broken")
        throw new HappyViewError("SCRIPT_INVALID", { message: `${file.name}:1: broken` });
      return file.text;
    },
    stored: async () => [...rows.values()],
    async put(id, value, by) {
      if (value === "unstorable") throw new Error("disk full");
      rows.set(id, { id, value, ...by });
    },
    remove: async (id) => void rows.delete(id),
  };
  const admin = (id: string, value: string): void => {
    // As a registry does: an edit by an admin keeps what is known of the file.
    rows.set(id, { id, value, origin: "admin", configHash: rows.get(id)?.configHash ?? null });
  };
  return { kind, rows, admin };
}

const file = (path: string, text: string): SourceFile => ({ path, text, name: `notes/${path}` });

describe("files and what is stored", () => {
  let notes: ReturnType<typeof createNotes>;
  beforeEach(() => {
    notes = createNotes();
  });

  /** Plans and applies; the steps as short texts. */
  const deploy = async (...files: SourceFile[]): Promise<string[]> => {
    const plan = await planResources(notes.kind, files);
    for (const step of plan.steps) await step.apply?.();
    return [
      ...plan.steps.map((step) => `${step.action} ${step.id}${step.note ? ` (${step.note})` : ""}`),
      ...plan.problems.map((problem) => `problem ${problem.file}: ${problem.message}`),
    ];
  };
  const values = (): Record<string, string> =>
    Object.fromEntries([...notes.rows.values()].map((row) => [row.id, `${row.value} by ${row.origin}`]));

  test("a new file is created, an equal one kept, a changed one updated, a vanished one deleted", async () => {
    expect(await deploy(file("a.note", "1"), file("b.note", "1"))).toEqual(["create a", "create b"]);
    expect(await deploy(file("a.note", "1"), file("b.note", "2"))).toEqual(["keep a", "update b"]);
    expect(values()).toEqual({ a: "1 by config", b: "2 by config" });
    expect(await deploy(file("b.note", "2"))).toEqual(["keep b", "delete a"]);
    expect(values()).toEqual({ b: "2 by config" });
  });

  test("what an admin made is never deleted", async () => {
    notes.admin("mine", "x");
    expect(await deploy(file("a.note", "1"))).toEqual(["create a"]);
    expect(await deploy()).toEqual(["delete a"]);
    expect(values()).toEqual({ mine: "x by admin" });
  });

  test("an admin's edit of a deployed one stays until the file changes", async () => {
    await deploy(file("a.note", "1"));
    notes.admin("a", "edited");
    expect(await deploy(file("a.note", "1"))).toEqual([
      "keep a (changed by an admin since it was deployed; its file has not changed)",
    ]);
    expect(values()).toEqual({ a: "edited by admin" });
    expect(await deploy(file("a.note", "2"))).toEqual(["update a (overwrites a version made by an admin)"]);
    expect(values()).toEqual({ a: "2 by config" });
    expect(await deploy()).toEqual(["delete a"]);
  });

  test("an admin's edit outlives its file", async () => {
    await deploy(file("a.note", "1"));
    notes.admin("a", "edited");
    expect(await deploy()).toEqual([]);
    expect(values()).toEqual({ a: "edited by admin" });
  });

  test("a file of what an admin made first takes it over", async () => {
    notes.admin("a", "hand");
    expect(await deploy(file("a.note", "1"))).toEqual(["update a (overwrites a version made by an admin)"]);
  });

  test("one that an admin removed comes back at the next deploy", async () => {
    await deploy(file("a.note", "1"));
    notes.rows.delete("a");
    expect(await deploy(file("a.note", "1"))).toEqual(["create a"]);
  });

  test("a file that could not be read leaves what was deployed last, and the others go on", async () => {
    await deploy(file("a.note", "1"));
    const unread: SourceFile = {
      ...file("a.note", ""),
      error: { message: "a.note is too large", hint: "split it" },
    };
    const readme: SourceFile = { ...file("README.md", ""), error: { message: "too large", hint: "" } };
    expect(await deploy(unread, readme, file("b.note", "2"))).toEqual([
      "create b",
      "problem notes/a.note: a.note is too large",
    ]);
    expect(values()).toEqual({ a: "1 by config", b: "2 by config" });
  });

  test("a broken edit leaves what was deployed last, and the others go on", async () => {
    await deploy(file("a.note", "1"), file("b.note", "1"));
    expect(await deploy(file("a.note", "broken"), file("b.note", "2"))).toEqual([
      "update b",
      "problem notes/a.note: notes/a.note:1: broken",
    ]);
    expect(values()).toEqual({ a: "1 by config", b: "2 by config" });
    expect(await deploy(file("a.note", "3"), file("b.note", "2"))).toEqual(["update a", "keep b"]);
  });

  test("a misplaced file is a problem with a hint, a README is none", async () => {
    const plan = await planResources(notes.kind, [
      file("README.md", "hi"),
      file("a.txt", "1"),
      file("b.note", "1"),
    ]);
    expect(plan.steps.map((step) => step.id)).toEqual(["b"]);
    expect(plan.problems).toEqual([
      { file: "notes/a.txt", message: "a.txt is no note", hint: "end it in .note" },
    ]);
  });

  test("two files of one id are a problem, and one of them is taken", async () => {
    expect(await deploy(file("a.note", "1"), file("x/a.note", "2"))).toEqual([
      "create a",
      "problem notes/x/a.note: notes/x/a.note and notes/a.note are the same note a",
    ]);
  });

  test("what the config adds to a file counts as a change of it", async () => {
    await deploy(file("a.note", "1"));
    notes.kind.extras = () => "option";
    expect(await deploy(file("a.note", "1"))).toEqual(["update a"]);
    expect(await deploy(file("a.note", "1"))).toEqual(["keep a"]);
    expect(hashOf(file("a.note", "1"))).not.toBe(hashOf(file("a.note", "1"), "option"));
  });

  test("deploy says in the log what it did and what it refused; a step that fails stops no other", async () => {
    const { log, messages } = createRecordingLog();
    const resources = createResources(log);
    resources.add(notes.kind);
    notes.admin("c", "edited");
    notes.rows.set("c", {
      id: "c",
      value: "edited",
      origin: "admin",
      configHash: hashOf(file("c.note", "1")),
    });
    const problems = await resources.deploy({
      notes: [
        file("a.note", "unstorable"),
        file("b.note", "1"),
        file("c.note", "1"),
        file("d.note", "broken"),
      ],
    });
    expect(problems.map((problem) => problem.message)).toEqual(["notes/d.note:1: broken", "disk full"]);
    expect(messages("info")).toContain("note b added");
    expect(messages("info")).not.toContain("note a added");
    expect(messages("warn")).toEqual(["note c left as it is"]);
    expect(messages("error")).toEqual(["notes/d.note:1: broken", "disk full"]);
  });

  test("a folder that no plugin takes is said, an empty or missing one is not", async () => {
    const { log } = createRecordingLog();
    const resources = createResources(log);
    expect(await resources.deploy({ scripts: [] })).toEqual([]);
    expect(await resources.deploy({ scripts: [file("x.lua", "")] })).toEqual([
      {
        file: "scripts",
        message: "scripts/ holds 1 files, but no plugin in the config takes them",
        hint: expect.stringContaining("plugins"),
      },
    ]);
  });

  test("two deploys at once run one after the other", async () => {
    const { log } = createRecordingLog();
    const resources = createResources(log);
    resources.add(notes.kind);
    await Promise.all([
      resources.deploy({ notes: [file("a.note", "1")] }),
      resources.deploy({ notes: [file("a.note", "2")] }),
      resources.deploy({ notes: [] }),
      resources.deploy({ notes: [file("a.note", "3")] }),
    ]);
    expect(values()).toEqual({ a: "3 by config" });
  });
});

test("a folder is read although one of its files is too large", async () => {
  await using root = await temporaryFolder();
  await mkdir(join(root.path, "scripts", "a"), { recursive: true });
  await writeFile(join(root.path, "scripts", "a", "large.lua"), "x".repeat(1024 * 1024 + 1));
  await writeFile(join(root.path, "scripts", "small.lua"), "return 1");
  expect(await readFolder(root.path, "scripts")).toEqual([
    {
      path: "a/large.lua",
      name: "scripts/a/large.lua",
      text: "",
      error: {
        message: "scripts/a/large.lua has 1048577 bytes, more than 1048576",
        hint: expect.stringContaining("1 MiB"),
      },
    },
    { path: "small.lua", name: "scripts/small.lua", text: "return 1" },
  ]);
  expect(await readFolder(root.path, "lexicons")).toEqual([]);
});

async function temporaryFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "happyview-test-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
