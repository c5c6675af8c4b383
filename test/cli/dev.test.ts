import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startDev, type Dev } from "../../core/cli/dev.ts";
import { createLogger } from "../../core/log.ts";
import { createNetwork, type Network } from "../../playground/network/network.ts";

// The example instance of this repository, copied, on the local atmosphere.
const repository = fileURLToPath(new URL("../..", import.meta.url));
const lines: string[] = [];
let root: string;
let network: Network;
let dev: Dev;

beforeAll(async () => {
  // Inside the repository, so that the config's imports resolve.
  root = await mkdtemp(join(repository, ".data-dev-test-"));
  for (const name of ["happyview.config.ts", "lexicons", "scripts"])
    await cp(join(repository, name), join(root, name), { recursive: true });
  network = await createNetwork({ seed: "dev", now: Date.now });
  dev = await startDev({
    root,
    log: createLogger({ level: "info", json: true, write: (line) => lines.push(line) }),
    env: {
      ...process.env,
      HOST: "127.0.0.1",
      PORT: "0",
      DATABASE_URL: `file:${join(await mkdtemp(join(tmpdir(), "happyview-dev-")), "dev.db")}`,
      JETSTREAM_URL: network.jetstreamUrl,
      RELAY_URL: network.relayUrl,
      PLC_URL: network.plcUrl,
    },
  });
});

afterAll(async () => {
  await dev?.close();
  await network?.close();
  await rm(root, { recursive: true, force: true });
});

async function ask(path: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(dev.url + path);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe("happyview dev", () => {
  const script = "scripts/xrpc.query/xyz.statusphere.countByEmoji.lua";
  const count = "/xrpc/xyz.statusphere.countByEmoji";

  it("applies an edited script without a restart", async () => {
    const app = dev.app();
    await writeFile(join(root, script), `function handle() return { edited = 1 } end`);
    await expect.poll(async () => (await ask(count)).body, { timeout: 5000 }).toEqual({ edited: 1 });
    expect(dev.app()).toBe(app);
  });

  it("refuses a broken edit with file, line and reason, and keeps the last good version", async () => {
    await writeFile(join(root, script), `function handle()\n  return }\nend`);
    await expect
      .poll(() => lines.join("\n"), { timeout: 5000 })
      .toContain(`${script}:2: script compilation failed`);
    expect((await ask(count)).body).toEqual({ edited: 1 });

    const lexicon = "lexicons/xyz/statusphere/status.json";
    await writeFile(join(root, lexicon), `{\n  "lexicon": 1,\n  oops\n}`);
    await expect
      .poll(() => lines.join("\n"), { timeout: 5000 })
      .toMatch(/lexicons\/xyz\/statusphere\/status\.json:3:\d+: not JSON/);
    expect(dev.app().records.pipeline.pending()).toBe(0);
    await writeFile(join(root, lexicon), await readFile(join(repository, lexicon), "utf8"));
  });

  it("adds a lexicon to the stream and loses nothing on the way", async () => {
    const alice = await network.createAccount({ handle: "alice.test" });
    const list = "/xrpc/xyz.statusphere.listStatuses?limit=100";
    const statuses = async (): Promise<number> => ((await ask(list)).body["records"] as unknown[]).length;
    const post = (i: number): Promise<unknown> =>
      alice.create("xyz.statusphere.status", {
        $type: "xyz.statusphere.status",
        status: `${i}`,
        createdAt: "2026-01-01T00:00:00Z",
      });
    for (let i = 0; i < 10; i++) await post(i);
    const note = {
      lexicon: 1,
      id: "xyz.statusphere.note",
      defs: { main: { type: "record", key: "tid", record: { type: "object" } } },
    };
    await writeFile(join(root, "lexicons/xyz.statusphere.note.json"), JSON.stringify(note));
    for (let i = 10; i < 40; i++) await post(i);
    await expect
      .poll(() => lines.join("\n"), { timeout: 5000 })
      .toContain("lexicon xyz.statusphere.note added");
    for (let i = 40; i < 50; i++) await post(i);
    await expect.poll(statuses, { timeout: 10_000 }).toBe(50);
    expect(dev.app().records.pipeline.pending()).toBe(0);
  });

  it("swaps the instance when the config changes, and keeps the old one when the new one is broken", async () => {
    const config = join(root, "happyview.config.ts");
    const good = await readFile(config, "utf8");
    const before = dev.app();
    await writeFile(config, good.replace('app_name: "Statusphere"', 'app_name: "Renamed"'));
    await expect
      .poll(async () => (await ask("/config")).body["app_name"], { timeout: 10_000 })
      .toBe("Renamed");
    expect(dev.app()).not.toBe(before);

    await writeFile(config, good.replace("plugins:", "plugin:"));
    await expect
      .poll(() => lines.join("\n"), { timeout: 10_000 })
      .toContain("`plugin` is not a key of the config");
    expect((await ask("/config")).body["app_name"]).toBe("Renamed");
  });
});
