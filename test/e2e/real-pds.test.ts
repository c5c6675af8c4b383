import type { AtpAgent } from "@atproto/api";
import { afterAll, beforeAll, expect, it } from "vitest";
import { firehose } from "../../plugins/firehose/index.ts";
import { luaScripts } from "../../plugins/lua-scripts/index.ts";
import { startAtmosphere, type Atmosphere } from "./_atmosphere.ts";
import { startInstance, type Instance } from "./_instance.ts";
import { collection, lexicon } from "./_statusphere.ts";

// The published PDS and PLC, none of it ours: what accounts write arrives through subscribeRepos, signed.
let atmosphere: Atmosphere;
let instance: Instance;

const script = `
function handle()
  if action == "delete" then return true end
  record.seenBy = "script of " .. did
  return record
end`;

const counting = `
function handle()
  local page = db.query({ collection = collection })
  return { statuses = #page.records, first = page.records[1] and page.records[1].status }
end`;

beforeAll(async () => {
  atmosphere = await startAtmosphere();
  const files = {
    lexicons: [
      lexicon(collection, "record"),
      lexicon("xyz.statusphere.list", "query"),
      lexicon("xyz.statusphere.count", "query"),
    ],
    scripts: [
      { path: `record.index/${collection}.lua`, name: "record", text: script },
      { path: "xrpc.query/xyz.statusphere.count.lua", name: "query", text: counting },
    ],
  };
  instance = await startInstance(
    atmosphere,
    {
      plugins: [firehose({ source: "relay" }), luaScripts()],
      lexicons: {
        "xyz.statusphere.list": { targetCollection: collection },
        "xyz.statusphere.count": { targetCollection: collection },
      },
    },
    { env: { RELAY_URL: atmosphere.pds.url }, files },
  );
});

afterAll(async () => {
  await instance?.close();
  await atmosphere?.close();
});

interface StatusPage {
  records: { uri: string; status: string; seenBy?: string }[];
}

async function query<T>(nsid: string, params = ""): Promise<T> {
  const response = await fetch(`${instance.url}/xrpc/${nsid}${params}`);
  expect(response.status).toBe(200);
  return (await response.json()) as T;
}

async function eventually(check: () => Promise<void>): Promise<void> {
  await expect
    .poll(() => check().then(() => "as expected", String), { timeout: 20_000, interval: 50 })
    .toBe("as expected");
}

it("indexes what two accounts on a real PDS create, update and delete, and forgets a deleted account", async () => {
  const alice = await atmosphere.account("alice");
  const bob = await atmosphere.account("bob");
  const put = async (agent: AtpAgent & { did: string }, rkey: string, status: string): Promise<void> => {
    const record = { $type: collection, status, createdAt: new Date().toISOString() };
    await agent.com.atproto.repo.putRecord({ repo: agent.did, collection, rkey, record, validate: false });
  };
  await put(alice, "3kaaaaaaaaaa2", "🐢");
  await put(alice, "3kaaaaaaaaab2", "🐌");
  await put(bob, "3kaaaaaaaaaa2", "🐇");
  await eventually(async () => {
    const { records } = await query<StatusPage>("xyz.statusphere.list");
    expect(records.map((record) => record.status).toSorted()).toEqual(["🐌", "🐇", "🐢"].toSorted());
  });
  const { records } = await query<StatusPage>("xyz.statusphere.list", `?did=${bob.did}`);
  expect(records).toMatchObject([
    { uri: `at://${bob.did}/${collection}/3kaaaaaaaaaa2`, seenBy: `script of ${bob.did}` },
  ]);

  await put(alice, "3kaaaaaaaaaa2", "🐙");
  await alice.com.atproto.repo.deleteRecord({ repo: alice.did, collection, rkey: "3kaaaaaaaaab2" });
  await eventually(async () => {
    const page = await query<StatusPage>("xyz.statusphere.list", `?did=${alice.did}`);
    expect(page.records.map((record) => record.status)).toEqual(["🐙"]);
  });
  expect(await query("xyz.statusphere.count")).toMatchObject({ statuses: 2 });

  const headers = atmosphere.pds.adminAuthHeaders();
  await bob.com.atproto.admin.deleteAccount({ did: alice.did }, { headers, encoding: "application/json" });
  await eventually(async () => {
    const page = await query<StatusPage>("xyz.statusphere.list");
    expect(page.records.map((record) => record.uri)).toEqual([`at://${bob.did}/${collection}/3kaaaaaaaaaa2`]);
  });
});
