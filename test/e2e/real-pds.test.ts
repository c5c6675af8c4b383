import { AtpAgent } from "@atproto/api";
import { mockNetworkUtilities, TestPds, TestPlc } from "@atproto/dev-env";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createApp, createLogger, type App } from "../../core/index.ts";
import { resolveConfig } from "../../core/config/resolve.ts";
import { firehose } from "../../plugins/firehose/index.ts";
import { luaScripts } from "../../plugins/lua-scripts/index.ts";

// The published PDS and PLC, none of it ours: what accounts write arrives through subscribeRepos, signed.
const collection = "xyz.statusphere.status";
let plc: TestPlc;
let pds: TestPds;
let app: App;

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

function lexicon(id: string, main: object): { path: string; name: string; text: string } {
  return { path: `${id}.json`, name: id, text: JSON.stringify({ lexicon: 1, id, defs: { main } }) };
}

beforeAll(async () => {
  plc = await TestPlc.create({});
  pds = await TestPds.create({ didPlcUrl: plc.url });
  mockNetworkUtilities(pds);
  const config = resolveConfig(
    {
      plugins: [firehose({ source: "relay" }), luaScripts()],
      lexicons: {
        "xyz.statusphere.list": { targetCollection: collection },
        "xyz.statusphere.count": { targetCollection: collection },
      },
    },
    { mode: "test", root: ".", env: { DATABASE_URL: ":memory:", PLC_URL: plc.url, RELAY_URL: pds.url } },
  );
  app = await createApp({
    config,
    log: createLogger({ level: "error" }),
    files: {
      lexicons: [
        lexicon(collection, { type: "record", key: "tid", record: { type: "object", properties: {} } }),
        lexicon("xyz.statusphere.list", { type: "query" }),
        lexicon("xyz.statusphere.count", { type: "query" }),
      ],
      scripts: [
        { path: `record.index/${collection}.lua`, name: "record", text: script },
        { path: "xrpc.query/xyz.statusphere.count.lua", name: "query", text: counting },
      ],
    },
  });
});

afterAll(async () => {
  await app?.close();
  await pds?.close();
  await plc?.close();
});

interface StatusPage {
  records: { uri: string; status: string; seenBy?: string }[];
}

async function query<T>(nsid: string, params = ""): Promise<T> {
  const response = await app.fetch(
    new Request(`http://localhost/xrpc/${nsid}${params}`, { headers: { host: "localhost" } }),
  );
  expect(response.status).toBe(200);
  return (await response.json()) as T;
}

async function eventually(check: () => Promise<void>): Promise<void> {
  await expect
    .poll(() => check().then(() => "as expected", String), { timeout: 20_000, interval: 50 })
    .toBe("as expected");
}

async function account(name: string): Promise<AtpAgent & { did: string }> {
  const agent = new AtpAgent({ service: pds.url });
  await agent.createAccount({
    handle: `${name}.test`,
    email: `${name}@example.com`,
    password: `${name}-password`,
  });
  return agent as AtpAgent & { did: string }; // createAccount has set it
}

it("indexes what two accounts on a real PDS create, update and delete, and forgets a deleted account", async () => {
  const alice = await account("alice");
  const bob = await account("bob");
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

  const headers = pds.adminAuthHeaders();
  await new AtpAgent({ service: pds.url }).com.atproto.admin.deleteAccount(
    { did: alice.did },
    { headers, encoding: "application/json" },
  );
  await eventually(async () => {
    const page = await query<StatusPage>("xyz.statusphere.list");
    expect(page.records.map((record) => record.uri)).toEqual([`at://${bob.did}/${collection}/3kaaaaaaaaaa2`]);
  });
});
