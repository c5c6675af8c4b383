import { Secp256k1Keypair } from "@atproto/crypto";
import { describe, expect, onTestFinished, test } from "vitest";
import { createOutgoingFetch, type OutgoingOptions } from "../../../core/http/outgoing.ts";
import type { Account } from "../../../playground/network/account.ts";
import { missingBlock, missingTree, signedBy } from "../../../playground/network/lies.ts";
import type { FaultRule } from "../../../playground/network/faults.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { getRepo, type RepoExport } from "../../../plugins/backfill/get-repo.ts";
import { createRoom, type Room } from "../../../plugins/backfill/room.ts";
import { differences } from "../../core/convergence/_stream.ts";
import { databases } from "../../setup/databases.ts";
import { fill, note, start, status, tableOf, watchRequests, worldOf } from "./_bench.ts";

const collections = [status, note];
const method = "com.atproto.sync.getRepo";

async function networkOf(
  ...counts: number[]
): Promise<{ network: Network; accounts: [Account, ...Account[]] }> {
  const network = await createNetwork({ seed: 15 });
  onTestFinished(network.close);
  const accounts: Account[] = [];
  for (const count of counts) {
    const account = await network.createAccount();
    await fill(account, status, count);
    await fill(account, note, 3, "n");
    await fill(account, "com.example.other", 4, "o");
    accounts.push(account);
  }
  return { network, accounts: accounts as [Account, ...Account[]] }; // every test makes one
}

type Lie = NonNullable<FaultRule["lie"]>;

const lies: ((account: Account, other: Account) => Lie | Promise<Lie>)[] = [
  async () => signedBy(await Secp256k1Keypair.create()),
  (account) => missingBlock(cidOf(account, "r001")),
  () => missingTree,
  () => (truth) => ({ ...truth, body: flipped(truth.body, -3) }),
  () => (truth) => ({ ...truth, body: '{"this":"is no CAR"}' }),
  () => (truth) => ({ ...truth, body: "" }),
  () => (truth) => ({ ...truth, body: Buffer.from(truth.body).subarray(0, 900) }),
  (_, other) => async (truth) => ({ ...truth, body: (await other.repo?.export()) ?? "" }),
];

describe.each(databases())("a backfill that takes whole repos on $name", (subject) => {
  test("gives the rows that lists give, with one request for each repo", async () => {
    const { network } = await networkOf(600, 3);
    const seen = watchRequests(network);
    const whole = await start(subject, { network, collections });
    const job = await whole.finish({ method: "getRepo" });
    expect(job).toMatchObject({
      method: "getRepo",
      plan: { method: "getRepo" },
      total_records: 609,
      complete: true,
    });
    expect(seen.filter(({ service }) => service === "pds").map((request) => request.method)).toEqual([
      "getRepo",
      "getRepo",
    ]);
    const listed = await start(subject, { network, collections });
    await listed.finish({ method: "listRecords" });
    const rows = "SELECT uri, did, collection, rkey, cid, rev FROM happyview_records ORDER BY uri";
    expect(await whole.app.db.all(rows)).toEqual(await listed.app.db.all(rows));
    expect(differences(await tableOf(whole), worldOf(network, collections))).toEqual([]);
    expect(await tableOf(whole)).toEqual(await tableOf(listed));
  });

  test("removes what vanished, and leaves what is only here", async () => {
    const { network, accounts } = await networkOf(40);
    const [alice] = accounts;
    const instance = await start(subject, { network, collections, backfill: { method: "getRepo" } });
    await instance.finish({});
    await instance.app.records.local.put({ did: alice.did, collection: status, rkey: "mine", record: "{}" });
    for (const rkey of ["r000", "r013", "r039"]) await alice.delete(status, rkey);
    for (const rkey of ["n000", "n001", "n002"]) await alice.delete(note, rkey);
    const seen = watchRequests(network);
    expect(await instance.finish({ did: alice.did })).toMatchObject({
      removed_records: 6,
      total_records: 37,
      complete: true,
    });
    expect(seen.filter(({ service }) => service === "pds").map((request) => request.method)).toEqual([
      "getRepo",
    ]);
    const { [`at://${alice.did}/${status}/mine`]: mine, ...rest } = await tableOf(instance);
    expect(mine).toBeDefined();
    expect(differences(rest, worldOf(network, collections))).toEqual([]);
  });

  test("refuses exports that are not what they should be, and touches nothing of their accounts", async () => {
    const { network, accounts } = await networkOf(...lies.map(() => 5), 5);
    const honest = accounts.at(-1) as Account;
    const instance = await start(subject, { network, collections, backfill: { method: "getRepo" } });
    const gone = accounts.map(({ did }) => `at://${did}/${status}/gone`);
    await instance.app.records.pipeline.ingestMany(
      accounts.map(({ did }) => {
        const base = { kind: "commit", action: "create", collection: status, rkey: "gone" } as const;
        return { ...base, did, rev: "3aaaaaaaaaa2a", record: {}, cid: "" };
      }),
    );
    for (const [i, lie] of lies.entries()) {
      const account = accounts[i] as Account; // there is one for each lie
      network.faults.add({ method, did: account.did, lie: await lie(account, honest) });
    }
    const job = await instance.finish({});
    expect(job).toMatchObject({
      failed_repos: lies.length,
      error_counts: { repo_invalid: lies.length },
      removed_records: 1,
      complete: false,
    });
    const { body } = await instance.ask<{ errors: { did: string; message: string }[] }>(
      `GET /backfill/${job.id}/errors`,
    );
    for (const error of body.errors)
      expect(error).toMatchObject({
        kind: "repo_invalid",
        attempts: 3,
        message: expect.stringContaining(error.did),
      });
    const table = await tableOf(instance);
    expect(gone.filter((uri) => uri in table)).toEqual(gone.slice(0, -1));
    // Told the truth it takes all, and forgets what the accounts have not.
    network.faults.clear();
    await instance.ask(`POST /backfill/${job.id}/retry-failed`);
    expect(await instance.reaches(job.id, "completed")).toMatchObject({
      failed_repos: 0,
      total_records: 8 * accounts.length,
      removed_records: accounts.length,
      complete: true,
    });
    expect(differences(await tableOf(instance), worldOf(network, collections))).toEqual([]);
  });

  test("asks again where an export breaks off", async () => {
    const { network } = await networkOf(40);
    network.faults.add({ method, truncateAfter: 1500, times: 2 });
    const instance = await start(subject, { network, collections });
    expect(await instance.finish({ method: "getRepo" })).toMatchObject({ total_records: 43, complete: true });
    expect(differences(await tableOf(instance), worldOf(network, collections))).toEqual([]);
  });

  test("of accounts that are not active says what they are", async () => {
    const states = {
      deactivated: "repo_deactivated",
      takendown: "repo_takendown",
      suspended: "repo_takendown",
      deleted: "repo_not_found",
    } as const;
    const { network, accounts } = await networkOf(1, 1, 1, 1);
    const dids = accounts.map(({ did }) => did);
    for (const [i, state] of (["deactivated", "takendown", "suspended", "deleted"] as const).entries())
      await accounts[i]?.setStatus(state);
    const instance = await start(subject, { network, collections });
    const { id } = await instance.finish({ dids, method: "getRepo" });
    const { body } = await instance.ask<{ errors: { did: string; kind: string }[] }>(
      `GET /backfill/${id}/errors`,
    );
    const kinds = new Map(body.errors.map(({ did, kind }) => [did, kind]));
    expect(dids.map((did) => kinds.get(did))).toEqual(Object.values(states));
  });
});

describe("an export is none", () => {
  const { signal } = new AbortController();
  const rev = expect.stringMatching(/^[2-7a-z]{13}$/);

  type Get = (options: OutgoingOptions, room?: Room) => Promise<RepoExport | undefined>;
  async function openHost(): Promise<{ network: Network; get: Get }> {
    const { network, accounts } = await networkOf(40);
    const [{ did, keypair }] = accounts;
    const ask = { pds: network.pds[0]?.url ?? "", did, collections, signingKey: keypair.did() };
    const get: Get = (options, room = createRoom(200_000)) =>
      getRepo(createOutgoingFetch({ allowPrivate: true, ...options }), ask, room, signal);
    return { network, get };
  }

  test("when it is larger than what is read of one", async () => {
    const { get } = await openHost();
    expect(await get({ maxResponseBytes: 2000 })).toBeUndefined();
    expect(await get({ maxResponseBytes: 200_000 })).toMatchObject({ rev });
  });

  test("while others take the room, and of what it took itself nothing is left", async () => {
    const { get } = await openHost();
    const room = createRoom(60_000);
    const first = await get({}, room);
    expect(first).toMatchObject({ rev });
    expect(await get({}, room)).toBeUndefined();
    first?.release();
    expect(await get({}, room)).toMatchObject({ rev });
  });

  test("when it does not come in its time, though it has begun", async () => {
    const { network, get } = await openHost();
    network.faults.add({ method, stallAfter: 3000 });
    expect(await get({ timeoutMs: 300 })).toBeUndefined();
  });
});

function cidOf({ repo }: Account, rkey: string): string {
  return repo?.records.get(status, rkey)?.cid.toString() ?? "";
}

function flipped(body: string | Uint8Array, at: number): Uint8Array {
  const bytes = Uint8Array.from(Buffer.from(body));
  const place = bytes.length + at;
  bytes[place] = (bytes[place] ?? 0) ^ 1;
  return bytes;
}
