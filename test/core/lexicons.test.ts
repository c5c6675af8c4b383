import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { UserConfig } from "../../core/config/define.ts";
import { readFolder, type SourceFile } from "../../core/resources/files.ts";
import { adminHeaders, startApp, type TestApp } from "../setup/app.ts";
import { databases } from "../setup/databases.ts";
import { createRecordingLog } from "../setup/log.ts";
import { jsonBody } from "../suites/http/subject.ts";

const id = "com.example.note";

const document = (extra: object = {}): object => ({
  lexicon: 1,
  id,
  defs: { main: { type: "record" } },
  ...extra,
});

const file = (path: string, content: object | string): SourceFile => ({
  path,
  name: `lexicons/${path}`,
  text: typeof content === "string" ? content : JSON.stringify(content),
});

describe.each(databases())("lexicon files on $name", (subject) => {
  const start = (user: UserConfig = {}, files: SourceFile[] = []): Promise<TestApp> =>
    startApp(subject, user, { files: { lexicons: files } });

  const shown = async ({ request }: TestApp, nsid = id): Promise<Record<string, unknown> | undefined> => {
    const response = await request(`/admin/lexicons/${nsid}`, { headers: adminHeaders });
    return response.status === 200 ? ((await response.json()) as Record<string, unknown>) : undefined;
  };

  test("paths are the NSID in folders or with dots; other files are left alone", async () => {
    const query = { lexicon: 1, id: "com.example.list", defs: { main: { type: "query" } } };
    await using running = await start({}, [
      file("com/example/note.json", document()),
      file("com.example.list.json", query),
      file("README.md", "# Lexicons"),
    ]);
    expect(await shown(running)).toMatchObject({ lexicon_type: "record", lexicon_json: document() });
    expect(await shown(running, "com.example.list")).toMatchObject({ lexicon_type: "query" });
  });

  test("options of the config are added, and a change of them alone is deployed", async () => {
    await using running = await start(
      { lexicons: { [id]: { targetCollection: "x.y.z", action: "create", tokenCost: 2, backfill: false } } },
      [file(`${id}.json`, document())],
    );
    expect(await shown(running)).toMatchObject({
      target_collection: "x.y.z",
      action: "create",
      token_cost: 2,
      backfill: false,
      revision: 1,
    });
  });

  test("an unchanged file is not put again, a changed one is, a removed one is gone", async () => {
    await using running = await start({}, [file(`${id}.json`, document())]);
    const deploy = running.app.resources.deploy;
    await deploy({ lexicons: [file(`${id}.json`, document())] });
    expect(await shown(running)).toMatchObject({ revision: 1 });
    await deploy({ lexicons: [file(`${id}.json`, document({ description: "new" }))] });
    expect(await shown(running)).toMatchObject({ revision: 2, lexicon_json: { description: "new" } });
    await deploy({ lexicons: [] });
    expect(await shown(running)).toBeUndefined();
  });

  test("an admin's edit stays until the file changes, also over a restart", async () => {
    const { url, drop } = await subject.open();
    const place = { name: subject.name, open: async () => ({ url, drop: async () => {} }) };
    const first = await startApp(place, {}, { files: { lexicons: [file(`${id}.json`, document())] } });
    const edited = document({ description: "by hand" });
    await first.request("/admin/lexicons", jsonBody("POST", { lexicon_json: edited }, adminHeaders));
    await first.request(
      "/admin/lexicons",
      jsonBody("POST", { lexicon_json: { ...document(), id: "com.example.hand" } }, adminHeaders),
    );
    await first.stop();

    const second = await startApp(place, {}, { files: { lexicons: [file(`${id}.json`, document())] } });
    expect(await shown(second)).toMatchObject({ lexicon_json: { description: "by hand" } });
    await second.app.resources.deploy({
      lexicons: [file(`${id}.json`, document({ description: "by file" }))],
    });
    expect(await shown(second)).toMatchObject({ lexicon_json: { description: "by file" } });
    await second.app.resources.deploy({ lexicons: [] });
    expect(await shown(second)).toBeUndefined();
    expect(await shown(second, "com.example.hand")).toBeDefined();
    await second.stop();
    await drop();
  });

  test.each([
    ["is not JSON", '{\n  "lexicon": 1,\n  oops\n}', /^lexicons\/com\.example\.note\.json:3:3: not JSON/],
    ["ends too early", '{"lexicon": 1,', /^lexicons\/com\.example\.note\.json:1:\d+: not JSON/],
    ["is no object", "[1]", /a lexicon is a JSON object/],
    ["has another version", { ...document(), lexicon: 2 }, /unsupported lexicon version: 2/],
    ["has no version", { id, defs: {} }, /must have a numeric 'lexicon' field/],
    ["has no id", { lexicon: 1, defs: {} }, /must have a string 'id' field/],
    [
      "has another id",
      { ...document(), id: "com.example.other" },
      /its id is "com\.example\.other", its path says "com\.example\.note"/,
    ],
  ])("a file that %s is refused, and the last good version keeps serving", async (_, content, message) => {
    await using running = await start({}, [file(`${id}.json`, document())]);
    const problems = await running.app.resources.deploy({ lexicons: [file(`${id}.json`, content)] });
    expect(problems).toEqual([
      { file: `lexicons/${id}.json`, message: expect.stringMatching(message), hint: expect.any(String) },
    ]);
    expect(problems[0]?.message).toContain(`lexicons/${id}.json`);
    expect(await shown(running)).toMatchObject({ revision: 1, lexicon_json: document() });
  });

  test.each(["note.json", "com.json", "com/example/no te.json", "com/example/-note.json"])(
    "a file at %s is misplaced, and the rest starts",
    async (path) => {
      const { log, messages } = createRecordingLog();
      await using running = await startApp(
        subject,
        {},
        { log, files: { lexicons: [file(path, document()), file(`${id}.json`, document())] } },
      );
      expect(await shown(running)).toBeDefined();
      expect(messages("error")).toEqual([`lexicons/${path} is not named after an NSID`]);
    },
  );

  test("a lexicon in the database that cannot be read is left out with a warning", async () => {
    const { url, drop } = await subject.open();
    const place = { name: subject.name, open: async () => ({ url, drop: async () => {} }) };
    const first = await startApp(place, {}, { files: { lexicons: [file(`${id}.json`, document())] } });
    await first.app.db.run("INSERT INTO lexicons (id, lexicon_json) VALUES (?, ?)", ["com.example.bad", "{"]);
    await first.stop();
    const { log, lines } = createRecordingLog();
    const second = await startApp(place, {}, { log });
    expect(await shown(second)).toBeDefined();
    expect(lines).toContainEqual(expect.objectContaining({ level: "warn", lexicon: "com.example.bad" }));
    await second.stop();
    await drop();
  });
});

describe("a resource folder", () => {
  test("is read in order, hidden files left out; a missing one is empty", async () => {
    const root = await mkdtemp(join(tmpdir(), "happyview-test-"));
    await mkdir(join(root, "lexicons/com/.git"), { recursive: true });
    for (const path of ["com/b.json", "a.json", ".hidden.json", "com/.git/x.json"])
      await writeFile(join(root, "lexicons", path), path);
    expect(await readFolder(root, "lexicons")).toEqual([
      { path: "a.json", name: "lexicons/a.json", text: "a.json" },
      { path: "com/b.json", name: "lexicons/com/b.json", text: "com/b.json" },
    ]);
    expect(await readFolder(root, "scripts")).toEqual([]);
    await writeFile(join(root, "lexicons/huge.json"), "x".repeat(1024 * 1024 + 1));
    const huge = (await readFolder(root, "lexicons")).find((file) => file.path === "huge.json");
    expect(huge?.error?.message).toContain("huge.json has 1048577 bytes");
    await rm(root, { recursive: true });
  });
});
