import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run, type Finished } from "./_run.ts";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const program = join(repository, "create-happyview/index.js");
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "create-happyview-"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const create = (...args: string[]): Promise<Finished> => run(process.execPath, [program, ...args], folder);

describe("what is refused writes nothing and says what to do", () => {
  const cases: [what: string, args: string[], code: string, words: string[]][] = [
    ["a name with capitals", ["My App"], "NAME_INVALID", ['"My App"', "lower-case", '"my-app"']],
    ["a name of dots", ["..."], "NAME_INVALID", ["my-appview"]],
    ["the name of the package itself", ["happyview"], "NAME_INVALID", ["npm does not accept it"]],
    ["an unknown template", ["a", "-t", "huge"], "TEMPLATE_UNKNOWN", ['"huge"', "minimal, statusphere"]],
    ["an unknown option", ["a", "--tempalte=minimal"], "ARGUMENT_INVALID", ["--tempalte", "--help"]],
    ["two folders", ["a", "b"], "ARGUMENT_INVALID", ["a b", "quotes"]],
  ];

  test.each(cases)("%s", async (_what, args, code, words) => {
    const text = await create(...args, "--yes");
    expect(text).toMatchObject({ code: 1, stdout: "" });
    for (const word of words) expect(text.stderr).toContain(word);
    expect(text.stderr).not.toContain("    at ");

    const json = await create(...args, "--json");
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { code } });
    expect(await readdir(folder)).toEqual([]);
  });

  test("a folder that is not empty, and a file", async () => {
    await mkdir(join(folder, "full"));
    await writeFile(join(folder, "full/precious.txt"), "mine");
    const full = await create("full", "--yes");
    expect(full.code).toBe(1);
    expect(full.stderr).toContain("full is not empty: it holds precious.txt");
    expect(await readdir(join(folder, "full"))).toEqual(["precious.txt"]);

    const file = await create("full/precious.txt", "--yes");
    expect(file.code).toBe(1);
    expect(file.stderr).toContain("full/precious.txt is a file");
    await rm(join(folder, "full"), { recursive: true });
  });
});

test("a folder with only a Git repository is empty, and `.` is the working directory", async () => {
  await mkdir(join(folder, "cloned/.git"), { recursive: true });
  const made = await run(process.execPath, [program, ".", "--json"], join(folder, "cloned"));
  expect(made).toMatchObject({ code: 0, stderr: "" });
  expect(JSON.parse(made.stdout)).toMatchObject({
    name: "cloned",
    template: "minimal",
    next: ["npm install", "npm run dev"],
  });
  expect(await readdir(join(folder, "cloned"))).toContain(".gitignore");
});

test("without a terminal nothing is asked", async () => {
  const made = await create();
  expect(made).toMatchObject({ code: 0, stderr: "" });
  expect(made.stdout).toContain("cd my-appview");
  const manifest = JSON.parse(await readFile(join(folder, "my-appview/package.json"), "utf8")) as object;
  const { version } = JSON.parse(await readFile(join(repository, "package.json"), "utf8")) as {
    version: string;
  };
  expect(manifest).toMatchObject({ name: "my-appview", dependencies: { happyview: `^${version}` } });
});

describe("a Node that is too old", () => {
  const old = ["/usr/bin/node", "/usr/local/bin/node"].find((path) => existsSync(path) && isTooOld(path));
  const programs = ["create-happyview/index.js", "core/cli/bin.mjs"];

  test.runIf(old).each(programs)("%s says which one is needed and how to get it", async (path) => {
    const before = await readdir(folder);
    const refused = await run(old ?? "", [join(repository, path), "too-old", "--yes"], folder);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toMatch(/needs Node\.js 22\.15 or newer; this is v\d+\./);
    expect(refused.stderr).toContain("https://nodejs.org/en/download");
    expect(await readdir(folder)).toEqual(before);
  });
});

function isTooOld(node: string): boolean {
  const [major = 0, minor = 0] = execFileSync(node, ["-p", "process.versions.node"], { encoding: "utf8" })
    .split(".")
    .map(Number);
  return major < 22 || (major === 22 && minor < 15);
}
