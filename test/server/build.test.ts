import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { build } from "../../core/server/build.ts";
import { silent } from "../setup/log.ts";
import {
  buildFixture,
  repository,
  runOutput,
  runtimes,
  startOutput,
  type Output,
  type RunningOutput,
} from "./_output.ts";

const wait = "/xrpc/org.example.built.wait";

describe.each(runtimes)("a project built for %s, away from its sources", (runtime) => {
  let output: Output;
  let server: RunningOutput | undefined;
  beforeAll(async () => {
    output = await buildFixture("built-app", runtime);
    server = await startOutput(runtime, output);
  });
  afterAll(async () => {
    server?.signal("SIGTERM");
    await server?.ended;
    await output[Symbol.asyncDispose]();
  });

  const get = (path: string): Promise<Response> => fetch(`${server?.url}${path}`);

  test("answers", async () => {
    expect(await (await get("/health")).text()).toBe("ok");
  });

  test("has its lexicons", async () => {
    expect(await (await get("/xrpc/org.example.built.listNotes")).json()).toEqual({ records: [] });
  });

  test("runs its scripts, in a thread whose file is part of the output", async () => {
    expect(await (await get("/xrpc/org.example.built.shout?word=hello")).json()).toEqual({ word: "HELLO" });
  });

  test("has the layers of its config, each with its values for production", async () => {
    expect(await (await get("/config")).json()).toMatchObject({
      app_name: "in production",
      logo_url: "https://logo.example/production.png",
    });
    expect(await (await get(`${wait}?ms=0`)).json()).toEqual({ waited: true });
  });

  test("holds neither the bundler nor what loads configs, and no path of the machine that built it", async () => {
    const packages = await readdir(join(output.folder, "server", "node_modules"));
    expect(packages).toContain("better-sqlite3");
    for (const name of ["nitropack", "rollup", "c12", "jiti", "chokidar", "happyview"])
      expect(packages).not.toContain(name);
    const files = await readdir(join(output.folder, "server"), { recursive: true });
    const ours = files.filter((path) => path.endsWith(".mjs") && !path.startsWith("node_modules"));
    for (const path of ours) {
      const code = await readFile(join(output.folder, "server", path), "utf8");
      expect(code, path).not.toMatch(/from '(nitropack|rollup|c12|jiti|h3)/);
      expect(code, path).not.toContain(repository);
    }
  });

  test.each(["SIGTERM", "SIGINT"] as const)(
    "finishes open requests at %s, closes and exits with 0",
    async (signal) => {
      const { ended, notes, noted, url, stop } = await startProbed();
      const response = fetch(`${url}${wait}?ms=500`);
      await noted("waiting");
      stop(signal);
      expect(await (await response).json()).toEqual({ waited: true });
      expect((await ended).code).toBe(0);
      expect(await notes()).toEqual(["waiting", "waited", "closed"]);
      await expect(fetch(url)).rejects.toThrow("fetch failed");
    },
  );

  test("exits with 1 when it is told twice", async () => {
    const { ended, notes, noted, url, stop } = await startProbed();
    const response = fetch(`${url}${wait}?ms=60000`);
    const cut = expect(response).rejects.toThrow("fetch failed");
    await noted("waiting");
    stop("SIGTERM");
    stop("SIGINT");
    expect((await ended).code).toBe(1);
    await cut;
    expect(await notes()).toEqual(["waiting"]);
  });

  test.each([
    [{ DATABASE_URL: "mysql://db.example/x" }, /database URL .* is of no known kind .*DATABASE_URL/],
    [{ PUBLIC_URL: "not a url" }, /PUBLIC_URL is .*not a URL .*https:/],
  ])("says why it cannot start with %o, and exits with 1", async (env, reason) => {
    const { code, lines } = await runOutput(runtime, output, env);
    expect(code).toBe(1);
    expect(lines.map((line) => (JSON.parse(line) as { message: string }).message).at(-1)).toMatch(reason);
  });

  test("closes what it opened when its port is taken", async () => {
    const file = join(output.folder, "taken");
    const port = new URL(server?.url ?? "").port;
    const { code, lines } = await runOutput(runtime, output, { PORT: port, PROBE_FILE: file });
    expect(code).toBe(1);
    expect(lines.at(-1)).toMatch(/in use/);
    expect(await readFile(file, "utf8")).toBe("closed\n");
  });

  /** A server of its own whose probe plugin notes what happens. */
  async function startProbed() {
    const folder = await mkdtemp(join(output.folder, "probe-"));
    const file = join(folder, "notes");
    const running = await startOutput(runtime, output, { PROBE_FILE: file });
    const notes = async (): Promise<string[]> =>
      existsSync(file) ? (await readFile(file, "utf8")).trim().split("\n") : [];
    return {
      ...running,
      stop: running.signal,
      notes,
      noted: (note: string) => vi.waitFor(async () => expect(await notes()).toContain(note), 10_000),
    };
  }
});

test("the image is made of files that the build has, and its user is not root", async () => {
  await using output = await buildFixture("built-http", "docker");
  const lines = (await readFile(join(output.folder, "Dockerfile"), "utf8")).split("\n");
  const copied = lines.filter((line) => line.startsWith("COPY ")).map((line) => line.split(" ").at(-2) ?? "");
  expect(copied.length).toBeGreaterThan(0);
  for (const path of copied) expect(existsSync(join(output.folder, path)), path).toBe(true);
  expect(lines).toContain("USER node");
  expect(lines.findIndex((line) => line.startsWith("HEALTHCHECK "))).toBeGreaterThan(0);
  // The image may be for another platform than the machine that builds it.
  const prebuilds = await readdir(join(output.folder, "server/node_modules/better-sqlite3/prebuilds"));
  expect(prebuilds).toEqual(expect.arrayContaining(["linux-x64.node", "linux-arm64.node"]));
});

test("a build that cannot be written is an error, and leaves nothing of its own in the project", async () => {
  const root = await mkdtemp(join(tmpdir(), "happyview-broken-"));
  try {
    await writeFile(join(root, "happyview.config.ts"), "export default { plugins: [] };\n");
    await writeFile(join(root, "package.json"), '{ "type": "module" }');
    const building = build({
      root,
      preset: "node",
      outDir: join(root, "happyview.config.ts", "no"),
      log: silent,
    });
    await expect(building).rejects.toMatchObject({ code: "BUILD_FAILED" });
    expect((await readdir(root)).toSorted()).toEqual(["happyview.config.ts", "package.json"]);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
