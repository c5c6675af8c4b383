import { describe, expect, onTestFinished, test } from "vitest";
import { atUri, type CommitEvent } from "../../../core/records/change.ts";
import { computeCid } from "../../../core/records/verify.ts";
import type { Account } from "../../../playground/network/account.ts";
import { simulatedStart, tidAt } from "../../../playground/network/clock.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { luaScripts } from "../../../plugins/lua-scripts/index.ts";
import { differences } from "../../core/convergence/_stream.ts";
import { databases } from "../../setup/databases.ts";
import { eventually, fill, start, status, tableOf, watchRequests, worldOf, type Instance } from "./_bench.ts";

/** Revs before and after everything that the network's clock gives. */
const early = tidAt(simulatedStart - 1_000_000, 0);
const late = tidAt(simulatedStart + 3_600_000_000, 0);
const later = tidAt(simulatedStart + 7_200_000_000, 0);

const live = { text: "live" };

function event(
  did: string,
  rkey: string,
  rev: string,
  action: "create" | "update" | "delete" = "update",
): CommitEvent {
  const content = action === "delete" ? { cid: "" } : { record: live, cid: computeCid(live) ?? "" };
  return { kind: "commit", action, did, collection: status, rkey, rev, ...content };
}

async function networkOf(...counts: number[]): Promise<{ network: Network; accounts: Account[] }> {
  const network = await createNetwork({ seed: 12 });
  onTestFinished(network.close);
  const accounts: Account[] = [];
  for (const count of counts) {
    const account = await network.createAccount();
    await fill(account, status, count);
    accounts.push(account);
  }
  return { network, accounts };
}

async function recordOf({ app }: Instance, did: string, rkey: string): Promise<unknown> {
  const row = await app.db.get<{ record: string }>("SELECT record FROM happyview_records WHERE uri = ?", [
    atUri(did, status, rkey),
  ]);
  return row && JSON.parse(row.record);
}

describe.each(databases())("records of a backfill on $name", (subject) => {
  test("go through their scripts as new ones, with their CIDs", async () => {
    const { network, accounts } = await networkOf(130);
    const [alice] = accounts as [Account];
    const instance = await start(subject, { network, plugins: [luaScripts()] });
    await instance.app.records.pipeline.ingestMany([event(alice.did, "r003", early)]);
    const script = `function handle()
      if record.text == 'r 7' then return nil end
      record.by = action
      return record
    end`;
    expect(
      await instance.ask("POST /scripts", { id: `record.create:${status}`, body: script }),
    ).toMatchObject({ status: 201 });
    await instance.ask("POST /scripts", {
      id: `record.update:${status}`,
      body: "function handle() error('never') end",
    });
    expect(await instance.finish({})).toMatchObject({ total_records: 129, complete: true });
    expect(await recordOf(instance, alice.did, "r003")).toMatchObject({ text: "r 3", by: "create" });
    expect(await recordOf(instance, alice.did, "r007")).toBeUndefined();
    const rows = await instance.app.db.all<{ rkey: string; cid: string; record: string }>(
      "SELECT rkey, cid, record FROM happyview_records",
    );
    expect(rows).toHaveLength(129);
    for (const { rkey, cid, record } of rows) {
      expect(cid).toBe(alice.repo?.records.get(status, rkey)?.cid.toString());
      expect(JSON.parse(record)).toMatchObject({ by: "create" });
    }
  });

  test("go through the scripts of today when they are fetched again", async () => {
    const { network, accounts } = await networkOf(30);
    const [alice] = accounts as [Account];
    const instance = await start(subject, { network, plugins: [luaScripts()] });
    const script = (by: string) =>
      instance.ask("POST /scripts", {
        id: `record.create:${status}`,
        body: `function handle() record.by = '${by}' return record end`,
      });
    await script("first");
    await instance.finish({});
    expect(await recordOf(instance, alice.did, "r003")).toMatchObject({ by: "first" });
    await script("second");
    expect(await instance.finish({})).toMatchObject({ total_records: 30, complete: true });
    expect(await recordOf(instance, alice.did, "r003")).toMatchObject({ by: "second" });
  });

  test("are replaced by newer events, and replace older ones, in either order", async () => {
    const { network, accounts } = await networkOf(5);
    const [{ did }] = accounts as [Account];
    const instance = await start(subject, { network });
    const { pipeline } = instance.app.records;
    await pipeline.ingestMany([
      event(did, "r000", late),
      event(did, "r001", early),
      event(did, "r004", late, "delete"),
    ]);
    await instance.finish({});
    await pipeline.ingestMany([event(did, "r002", late), event(did, "r003", early)]);
    expect(await recordOf(instance, did, "r000")).toEqual(live);
    expect(await recordOf(instance, did, "r001")).toMatchObject({ text: "r 1" });
    expect(await recordOf(instance, did, "r002")).toEqual(live);
    expect(await recordOf(instance, did, "r003")).toMatchObject({ text: "r 3" });
    expect(await recordOf(instance, did, "r004")).toBeUndefined();
  });

  test("race with live events, and the newer one wins each time", async () => {
    const { network, accounts } = await networkOf(300, 300, 300);
    const instance = await start(subject, { network });
    const { pipeline } = instance.app.records;
    const id = await instance.create({});
    // Every record gets a live event in between: of each three, one is newer, one is older, and one a newer deletion.
    for (let n = 0; n < 300; n++) {
      const rkey = `r${String(n).padStart(3, "0")}`;
      for (const { did } of accounts)
        await pipeline.ingest(
          event(did, rkey, n % 3 === 1 ? early : late, n % 3 === 2 ? "delete" : "update"),
        );
      if (n % 10 === 0) await new Promise((go) => setTimeout(go, 1));
    }
    await instance.reaches(id, "completed");
    await pipeline.flush();
    const world = worldOf(network);
    const expected: Record<string, string> = {};
    for (const [uri, row] of Object.entries(world)) {
      const n = Number(uri.slice(-3));
      if (n % 3 === 0) expected[uri] = `${computeCid(live)} ${JSON.stringify(Object.entries(live))}`;
      else if (n % 3 === 1) expected[uri] = row;
    }
    expect(differences(await tableOf(instance), expected)).toEqual([]);
  });

  test("that vanished upstream are removed; rows of this index alone and newer ones stay", async () => {
    const { network, accounts } = await networkOf(210, 3);
    const [alice, bob] = accounts as [Account, Account];
    const instance = await start(subject, { network });
    const { pipeline, local } = instance.app.records;
    await instance.finish({});
    for (let n = 0; n < 210; n += 7) await alice.delete(status, `r${String(n).padStart(3, "0")}`);
    await bob.delete(status, "r000");
    await local.put({ did: alice.did, collection: status, rkey: "mine", record: '{"text":"only here"}' });
    await local.put({
      did: bob.did,
      collection: status,
      rkey: "confirmed",
      record: '{"text":"only here"}',
      cid: "bafyx",
    });
    await pipeline.ingestMany([event(alice.did, "newer", late), event(bob.did, "older", early)]);
    const job = await instance.finish({});
    expect(job).toMatchObject({ removed_records: 32, total_records: 182, complete: true });
    const extra = Object.keys(await tableOf(instance)).filter((uri) => !(uri in worldOf(network)));
    expect(extra.toSorted()).toEqual(
      [
        atUri(alice.did, status, "mine"),
        atUri(alice.did, status, "newer"),
        atUri(bob.did, status, "confirmed"),
      ].toSorted(),
    );
    expect(Object.keys(await tableOf(instance))).toHaveLength(182 + 3);
    // Gone since this rev: what comes by the stream later is new.
    await pipeline.ingestMany([event(bob.did, "r000", later, "create")]);
    expect(await recordOf(instance, bob.did, "r000")).toEqual(live);
  });

  test("that a script changed here alone stay so until their repo says something newer", async () => {
    const { network, accounts } = await networkOf(3);
    const [alice] = accounts as [Account];
    const instance = await start(subject, { network });
    await instance.finish({});
    const edit = { did: alice.did, collection: status, rkey: "r001", record: '{"text":"redacted"}' };
    await instance.app.records.local.put(edit);
    for (const method of ["listRecords", "getRepo"]) {
      expect(await instance.finish({ method })).toMatchObject({ total_records: 3, complete: true });
      expect(await recordOf(instance, alice.did, "r001")).toEqual({ text: "redacted" });
    }
    await alice.put(status, "r001", { text: "written anew" });
    await instance.finish({});
    expect(await recordOf(instance, alice.did, "r001")).toMatchObject({ text: "written anew" });
    expect(differences(await tableOf(instance), worldOf(network))).toEqual([]);
  });

  test("that are listed, and left out by a script of today, are not asked for one by one", async () => {
    const { network, accounts } = await networkOf(120);
    const [alice] = accounts as [Account];
    const instance = await start(subject, { network, plugins: [luaScripts()] });
    await instance.finish({});
    await alice.create(status, { text: "one more" }, "zzz"); // a newer rev
    await alice.delete(status, "r010");
    const script = "function handle() if record.text ~= 'one more' then return nil end return record end";
    await instance.ask("POST /scripts", { id: `record.create:${status}`, body: script });
    const seen = watchRequests(network);
    expect(await instance.finish({})).toMatchObject({ removed_records: 1, complete: true });
    const asked = seen.filter(({ method }) => method === "getRecord").map(({ params }) => params.get("rkey"));
    expect(asked).toEqual(["r010"]);
    expect(differences(await tableOf(instance), worldOf(network))).toEqual([]);
  });

  test("that a list leaves out, and that are there all the same, stay", async () => {
    const { network } = await networkOf(120);
    const instance = await start(subject, { network });
    await instance.finish({});
    const [alice] = network.accounts;
    await alice?.create(status, { text: "one more" }, "zzz"); // a newer rev
    network.faults.add({
      method: "com.atproto.repo.listRecords",
      lie(truth) {
        const { records, cursor } = JSON.parse(String(truth.body)) as {
          records: { uri: string }[];
          cursor?: string;
        };
        return {
          ...truth,
          body: JSON.stringify({ records: records.filter(({ uri }) => !uri.endsWith("5")), cursor }),
        };
      },
    });
    expect(await instance.finish({})).toMatchObject({ removed_records: 0, complete: true });
    expect(differences(await tableOf(instance), worldOf(network))).toEqual([]);
  });

  test.each([
    ["whose list breaks off", { method: "com.atproto.repo.listRecords", status: 500 }, "pds_server_error"],
    ["that is not known to its host", { method: "com.atproto.sync.getLatestCommit", status: 400 }, "other"],
    [
      "whose records cannot be asked for",
      { method: "com.atproto.repo.getRecord", status: 500 },
      "pds_server_error",
    ],
    [
      "whose host forbids it",
      { method: "com.atproto.repo.getRecord", status: 429, headers: { "Retry-After": "0" } },
      "rate_limited",
    ],
  ])("of an account %s all stay", async (_, fault, kind) => {
    const { network, accounts } = await networkOf(3);
    const [alice] = accounts as [Account];
    const instance = await start(subject, { network, backfill: { downAfter: 2 } });
    await instance.finish({});
    const before = await tableOf(instance);
    await alice.delete(status, "r001");
    network.faults.add({ service: "pds", ...fault });
    expect(await instance.finish({ did: alice.did })).toMatchObject({
      failed_repos: 1,
      error_counts: { [kind]: 1 },
      removed_records: 0,
      complete: false,
    });
    expect(await tableOf(instance)).toEqual(before);
  });

  test("of an account that is gone stay until an event says so", async () => {
    const { network, accounts } = await networkOf(3);
    const [alice] = accounts as [Account];
    const instance = await start(subject, { network });
    await instance.finish({});
    await alice.setStatus("deactivated");
    const job = await instance.finish({ did: alice.did });
    expect(job).toMatchObject({ failed_repos: 1, error_counts: { repo_deactivated: 1 }, total_records: 0 });
    expect(Object.keys(await tableOf(instance))).toHaveLength(3);
  });

  test("of an account that is hidden come in unseen", async () => {
    const { network, accounts } = await networkOf(3);
    const [{ did }] = accounts as [Account];
    const instance = await start(subject, { network });
    const { pipeline } = instance.app.records;
    await pipeline.ingestMany([
      event(did, "r000", early),
      { kind: "account", did, active: false, status: "takendown", rev: late },
    ]);
    await instance.finish({});
    expect(await tableOf(instance)).toEqual({});
    await pipeline.ingestMany([{ kind: "account", did, active: true, rev: later }]);
    expect(differences(await tableOf(instance), worldOf(network))).toEqual([]);
  });

  test("are not brought back to an account that was deleted meanwhile", async () => {
    const { network, accounts } = await networkOf(250);
    const [{ did }] = accounts as [Account];
    const instance = await start(subject, { network });
    const seen = watchRequests(network);
    network.faults.add({ method: "com.atproto.repo.listRecords", latencyMs: 20 });
    const id = await instance.create({});
    await eventually(() =>
      expect(seen.filter(({ method }) => method === "listRecords").length).toBeGreaterThan(1),
    );
    await instance.app.records.pipeline.ingestMany([
      { kind: "account", did, active: false, status: "deleted", rev: late },
    ]);
    expect(await instance.reaches(id, "completed")).toMatchObject({ complete: true });
    expect(await tableOf(instance)).toEqual({});
  });
});
