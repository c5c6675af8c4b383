import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { checkConfig } from "../../../core/config/schema.ts";
import { networkLexiconSources, resolveNetworkLexicons } from "../../../core/config/network-lexicons.ts";
import type { UserConfig } from "../../../core/config/define.ts";
import type { LexiconChange } from "../../../core/lexicons/registry.ts";
import { definePlugin } from "../../../core/plugin.ts";
import { networkLexicons } from "../../../plugins/network-lexicons/index.ts";
import { startApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { createRecordingLog } from "../../setup/log.ts";
import {
  createAtmosphere,
  keptDatabase,
  recordLexicon,
  startInstance,
  status,
  type Atmosphere,
  type Instance,
} from "./_atmosphere.ts";

describe("networkLexicons in the config", () => {
  test("are NSIDs or objects; the closest layer holds", () => {
    const config = checkConfig({ networkLexicons: [status, { nsid: "a.b.c", backfill: true }, status] }, "x");
    const resolved = resolveNetworkLexicons(config.networkLexicons ?? []);
    expect(resolved).toEqual([{ nsid: status }, { nsid: "a.b.c", backfill: true }]);
    expect(networkLexiconSources(resolved)).toEqual({
      networkLexicons: [
        {
          path: status,
          name: `networkLexicons: ${status}`,
          text: '{"targetCollection":null,"backfill":false}',
        },
        {
          path: "a.b.c",
          name: "networkLexicons: a.b.c",
          text: '{"targetCollection":null,"backfill":true}',
        },
      ],
    });
  });

  test.each([
    ["no NSID", ["statusphere"], "`networkLexicons.0.nsid`: expected an NSID", "networkLexicons.0.nsid"],
    ["no list", "a.b.c", "`networkLexicons`", "correct `networkLexicons`"],
    [
      "an unknown option",
      [{ nsid: "a.b.c", target: "x" }],
      "`networkLexicons.0.target` is not a key",
      "allowed here: nsid, targetCollection, backfill",
    ],
    ["a target that is none", [{ nsid: "a.b.c", targetCollection: "x" }], "targetCollection", "correct"],
  ])("%s is refused with the key and the fix", (_, networkLexicons, message, hint) => {
    expect(() => checkConfig({ networkLexicons }, "x")).toThrow(
      expect.objectContaining({
        code: "CONFIG_INVALID",
        message: expect.stringContaining(message),
        hint: expect.stringContaining(hint),
      }),
    );
  });

  test("without the plugin are a problem that says what to add", async () => {
    const { log, lines } = createRecordingLog();
    const [subject] = databases();
    if (!subject) throw new Error("no database");
    await using running = await startApp(subject, { networkLexicons: [status] }, { log });
    expect(running.app.resources.kinds().map(({ kind }) => kind)).toEqual(["lexicon"]);
    expect(lines).toContainEqual(
      expect.objectContaining({
        level: "error",
        message: expect.stringContaining("`networkLexicons` of the config has 1 entries"),
        hint: expect.stringContaining("add networkLexicons()"),
      }),
    );
  });
});

describe.each(databases())("declared network lexicons on $name", (subject) => {
  let around: Atmosphere;
  let changes: LexiconChange[];
  beforeEach(async () => {
    around = await createAtmosphere();
    changes = [];
  });
  afterEach(() => around[Symbol.asyncDispose]());

  const watcher = definePlugin({
    name: "watcher",
    setup: (app) => void app.hook("lexicon:changed", (change) => void changes.push(change)),
  });
  const start = (
    networkLexicons: UserConfig["networkLexicons"],
    options: Parameters<typeof startInstance>[2] = {},
    on = subject,
  ): Promise<Instance> =>
    startInstance(on, around, { ...options, config: { networkLexicons, plugins: [watcher()] } });
  const file = (id: string) => ({
    path: `${id}.json`,
    name: `lexicons/${id}.json`,
    text: JSON.stringify(recordLexicon(id)),
  });
  const served = (instance: Instance): Promise<void> =>
    vi.waitFor(() => expect(instance.lexicons.get(status)?.source).toBe("network"), { interval: 5 });

  test("are resolved after the start, with what the config adds", async () => {
    await around.publish(recordLexicon());
    await using instance = await start([{ nsid: status, targetCollection: "a.b.c", backfill: true }]);
    await served(instance);
    expect(await instance.get(`/lexicons/${status}`)).toMatchObject({
      revision: 1,
      authority_did: around.alice.did,
      target_collection: "a.b.c",
      backfill: true,
    });
    expect(instance.lexicons.get(status)).toMatchObject({ origin: "config" });
    expect(changes).toMatchObject([{ action: "created", history: { actor: null } }]);
    expect(instance.told()).toEqual([`lexicon.created ${status} {"revision":1,"source":"network"}`]);
    expect(await instance.health()).toEqual({ served: 1, waiting: [], failing: [] });
  });

  test("do not hold up the start while DNS is silent, and come when it answers", async () => {
    await around.publish(recordLexicon());
    around.dns.isSilent = true;
    await using instance = await start([status], { dnsTimeoutMs: 60 });
    expect((await instance.running.request("/health")).status).toBe(200);
    expect(instance.lexicons.get(status)).toBeUndefined();
    expect(await instance.health()).toEqual({ served: 0, waiting: [status], failing: [] });
    await vi.waitFor(() => expect(instance.told()).toHaveLength(1));
    expect(instance.told()).toEqual([
      `lexicon.unresolved ${status} {"reason":"DNS TXT lookup failed for _lexicon.statusphere.xyz: no answer within 60 ms","served":false}`,
    ]);
    around.dns.isSilent = false;
    await served(instance);
    expect(await instance.health()).toEqual({ served: 1, waiting: [], failing: [] });
  });

  test("that fail are tried again until it works; a reason is told once", async () => {
    const { faults } = around.network;
    await around.publish(recordLexicon());
    const gone = faults.add({ service: "pds", method: "com.atproto.repo.getRecord", status: 503 });
    await using instance = await start([status]);
    const tries = (): number =>
      instance.logged.filter(({ message }) => message.includes("cannot be read yet")).length;
    await vi.waitFor(() => expect(tries()).toBeGreaterThan(3), { interval: 5 });
    expect(instance.told()).toHaveLength(1);
    expect(instance.told()[0]).toContain("answers 503");
    expect(instance.logged.filter(({ level }) => level === "warn")).toHaveLength(1);
    gone();
    await served(instance);
    expect(instance.told()).toHaveLength(2);
  });

  test("one that fails keeps no other waiting", async () => {
    await around.publish(recordLexicon());
    await using instance = await start(["org.example.missing", status]);
    await served(instance);
    expect(await instance.health()).toMatchObject({ served: 1, waiting: ["org.example.missing"] });
  });

  test("serve at once after a restart, and are not read again while they are fresh", async () => {
    const kept = await keptDatabase(subject);
    await around.publish(recordLexicon());
    const first = await start([status], {}, kept);
    await served(first);
    await first.stop();
    around.dns.asked.length = 0;
    around.dns.isSilent = true;
    const second = await start([status], {}, kept);
    expect(second.lexicons.get(status)).toMatchObject({ revision: 1, source: "network" });
    expect(around.dns.asked).toEqual([]);
    expect(second.told()).toEqual([]);
    await second.stop();
    await kept.drop();
  });

  test("are removed with their entry, what an admin added is not", async () => {
    const kept = await keptDatabase(subject);
    const other = "xyz.statusphere.other";
    await around.publish(recordLexicon());
    await around.publish(recordLexicon(other));
    const first = await start([status], {}, kept);
    await served(first);
    await first.admin("POST", "/network-lexicons", { nsid: other });
    await first.stop();
    const second = await start([], {}, kept);
    expect(second.lexicons.list().map(({ id }) => id)).toEqual([other]);
    await second.stop();
    await kept.drop();
  });

  test("are left alone by a one-off command, whatever its config says", async () => {
    const kept = await keptDatabase(subject);
    await around.publish(recordLexicon());
    const first = await start([status], {}, kept);
    await served(first);
    await first.stop();
    const command = await startApp(kept, { plugins: [networkLexicons()] }, { background: false });
    expect(await command.app.db.all("SELECT id FROM lexicons")).toEqual([{ id: status }]);
    await command.stop();
    await kept.drop();
  });

  test("take over other options of the entry without asking anybody", async () => {
    const kept = await keptDatabase(subject);
    await around.publish(recordLexicon());
    const first = await start([status], {}, kept);
    await served(first);
    await first.stop();
    around.dns.isSilent = true;
    const second = await start([{ nsid: status, targetCollection: "a.b.c" }], {}, kept);
    expect(second.lexicons.get(status)).toMatchObject({ targetCollection: "a.b.c", revision: 2 });
    await second.stop();
    await kept.drop();
  });

  test("that an admin changed stay as they are until their entry changes", async () => {
    const kept = await keptDatabase(subject);
    await around.publish(recordLexicon());
    const first = await start([status], {}, kept);
    await served(first);
    await first.admin("POST", "/network-lexicons", { nsid: status, target_collection: "by.an.admin" });
    await first.stop();
    const second = await start([status], {}, kept);
    expect(second.lexicons.get(status)).toMatchObject({ targetCollection: "by.an.admin", origin: "admin" });
    await second.stop();
    const third = await start([], {}, kept);
    expect(third.lexicons.get(status)).toBeDefined();
    await third.stop();
    await kept.drop();
  });

  test("and lexicon files leave each other alone", async () => {
    const kept = await keptDatabase(subject);
    const note = "com.example.note";
    await around.publish(recordLexicon());
    const files = { lexicons: [file(note)] };
    const first = await start([status], { files }, kept);
    await served(first);
    await first.running.app.resources.deploy(files);
    expect(first.lexicons.list().map(({ id }) => id)).toEqual([note, status]);
    await first.stop();
    around.dns.isSilent = true;
    const second = await start([status], { files }, kept);
    expect(second.lexicons.list().map(({ id, revision }) => [id, revision])).toEqual([
      [note, 1],
      [status, 1],
    ]);
    await second.stop();
    await kept.drop();
  });

  test("that are files, too, are a problem, and the file serves", async () => {
    await around.publish(recordLexicon());
    await using instance = await start([status], { files: { lexicons: [file(status)] } });
    expect(instance.lexicons.get(status)).toMatchObject({ source: "manual" });
    expect(instance.logged).toContainEqual(
      expect.objectContaining({
        level: "error",
        message: expect.stringContaining(`${status} is a file in lexicons/ and an entry`),
      }),
    );
    expect(around.dns.asked).toEqual([]);
  });

  test("become a file in one deploy, whose version serves", async () => {
    const kept = await keptDatabase(subject);
    await around.publish(recordLexicon());
    const first = await start([status], {}, kept);
    await served(first);
    await first.stop();
    const second = await start([], { files: { lexicons: [file(status)] } }, kept);
    expect(second.lexicons.get(status)).toMatchObject({ source: "manual", origin: "config" });
    await second.stop();
    await kept.drop();
  });

  test("leave an uploaded version serving until the published one is there", async () => {
    const kept = await keptDatabase(subject);
    const first = await start([], {}, kept);
    await first.admin("POST", "/lexicons", { lexicon_json: recordLexicon() });
    await first.stop();
    const second = await start([status], {}, kept);
    await vi.waitFor(() => expect(second.told()).toHaveLength(1));
    expect(second.lexicons.get(status)).toMatchObject({ source: "manual", origin: "admin" });
    await around.publish(recordLexicon());
    await served(second);
    expect(second.lexicons.get(status)).toMatchObject({ origin: "config", revision: 2 });
    await second.stop();
    await kept.drop();
  });

  test("can be looked up by a function in place of DNS", async () => {
    await around.publish(recordLexicon());
    const resolveTxt = async (name: string): Promise<string[][]> =>
      name === "_lexicon.statusphere.xyz" ? [[`did=${around.alice.did}`]] : [];
    await using instance = await start([status], { resolveTxt });
    await served(instance);
    expect(around.dns.asked).toEqual([]);
  });

  test("close at once while an authority is silent", async () => {
    let asked = 0;
    const resolveTxt = (): Promise<string[][]> => {
      asked += 1;
      return new Promise(() => {});
    };
    const instance = await start([status], { resolveTxt });
    await vi.waitFor(() => expect(asked).toBe(1), { interval: 5 });
    await instance.stop();
    expect(instance.told()).toEqual([]);
  });
});
