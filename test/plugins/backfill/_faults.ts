import { createServer } from "node:net";
import type { CommitEvent, SourceEvent } from "../../../core/records/change.ts";
import type { Account } from "../../../playground/network/account.ts";
import type { FaultRule } from "../../../playground/network/faults.ts";
import { loopingCursor, missingBlock, wrongCid } from "../../../playground/network/lies.ts";
import type { Reply } from "../../../playground/network/service.ts";
import type { Network } from "../../../playground/network/network.ts";
import type { Method } from "../../../plugins/backfill/plan.ts";
import { accountRev } from "../../../plugins/firehose/decode.ts";
import { fill, type SeenRequest } from "./_bench.ts";

/** Who has records of a collection: Alice (two pages) and Anna (one) on a host with troubles, Bob on one without. */
export interface World {
  network: Network;
  /** Index of the host with troubles; Bob's is the next one. */
  host: number;
  collection: string;
  alice: Account;
  anna: Account;
  bob: Account;
  seen: readonly SeenRequest[];
  /** Bob's host says 429 until then, so the job cannot end. */
  open(): void;
  /** What the stream brings meanwhile, for whoever can take it in. */
  events: SourceEvent[];
}

export interface FaultCase {
  name: string;
  method?: Method;
  /** Bob's host says 429 until the job was interrupted. @default true */
  isHeld?: boolean;
  /** Its accounts are not the same afterwards. @default false */
  isMutating?: boolean;
  arrange(world: World): void | Promise<void>;
  /** The repos that fail, and why. @default none */
  errors?: Partial<Record<"alice" | "anna" | "bob", string>>;
  /** The job's own error begins so. @default none */
  error?: string;
}

const listRecords = "com.atproto.repo.listRecords";
const notFound = "could not all be found: ";

/** The faults of a network, and what must become of a job that meets them. */
export const faultCases: FaultCase[] = [
  { name: "a host is slow", arrange: onHost({ latencyMs: { min: 5, max: 60 } }) },
  {
    name: "a host is slower than anybody waits",
    isHeld: false, // it takes its time anyway
    arrange: onHost({ latencyMs: 10_000 }),
    errors: { alice: "timeout", anna: "timeout" },
  },
  {
    name: "a host is dead",
    async arrange({ network, alice, anna }) {
      const address = `http://127.0.0.1:${await closedPort()}`;
      for (const { did, pds } of [alice, anna])
        network.faults.add({
          service: "plc",
          did,
          lie: (truth) => ({ ...truth, body: String(truth.body).replace(pds.url, address) }),
        });
    },
    errors: { alice: "connection_failed", anna: "connection_failed" },
  },
  {
    name: "a host says 429 with RateLimit-Reset",
    arrange(world) {
      const reset = String(Math.floor(Date.now() / 1000) + 1);
      onHost({ times: 2, status: 429, headers: { "RateLimit-Reset": reset } })(world);
    },
  },
  {
    name: "a host says 429 with Retry-After",
    arrange: onHost({ times: 2, status: 429, headers: { "Retry-After": "1" } }),
  },
  { name: "a host has a burst of 5xx", arrange: onHost({ times: 3, status: 503 }) },
  {
    name: "a host has nothing but 5xx",
    arrange: onHost({ status: 502 }),
    errors: { alice: "pds_server_error", anna: "pds_server_error" },
  },
  { name: "a host breaks off in its answers", arrange: onHost({ times: 3, truncateAfter: 40 }) },
  { name: "a host answers with no JSON", arrange: onHost({ times: 3, wrongJson: true }) },
  {
    name: "a host answers with no JSON for one account",
    arrange: ({ network, anna }) =>
      void network.faults.add({ service: "pds", did: anna.did, wrongJson: true }),
    errors: { anna: "invalid_response" },
  },
  {
    name: "a record has another CID than it claims",
    arrange: ({ network, alice }) =>
      void network.faults.add({ method: listRecords, did: alice.did, lie: wrongCid("r005") }),
    errors: { alice: "cid_mismatch" },
  },
  {
    name: "an export lacks a block",
    method: "getRepo",
    arrange({ network, collection, alice: { did, repo } }) {
      const cid = repo?.records.get(collection, "r007")?.cid.toString() ?? "";
      network.faults.add({ method: "com.atproto.sync.getRepo", did, lie: missingBlock(cid) });
    },
    errors: { alice: "repo_invalid" },
  },
  {
    name: "a list goes in a circle",
    arrange: ({ network, anna }) =>
      void network.faults.add({
        method: listRecords,
        did: anna.did,
        lie: loopingCursor("r002", "r001", "r0015"),
      }),
    errors: { anna: "invalid_response" },
  },
  {
    name: "a host redirects elsewhere",
    arrange(world) {
      const elsewhere = `${world.network.pds[world.host + 1]?.url}/xrpc/${listRecords}?repo=${world.bob.did}`;
      onHost({ redirect: `${elsewhere}&collection=${world.collection}` })(world);
    },
    errors: { alice: "other", anna: "other" },
  },
  {
    name: "a DID is not known",
    arrange: ({ network, anna }) => void network.faults.add({ service: "plc", did: anna.did, status: 404 }),
    errors: { anna: "did_doc_not_found" },
  },
  {
    name: "the directory is away for a while",
    arrange({ network, alice, anna, bob }) {
      for (const { did } of [alice, anna, bob])
        network.faults.add({ service: "plc", did, times: 3, status: 503 });
    },
  },
  {
    name: "the relay goes in a circle",
    arrange: onRelay({ lie: loopingCursor("did:plc:a", "did:plc:b") }),
    error: `${notFound}the relay repeats its cursors`,
  },
  { name: "the relay is away for a while", arrange: onRelay({ times: 3, status: 500 }) },
  {
    name: "the relay is away when it has told of some",
    arrange(world) {
      onRelay({ times: 1, lie: loopingCursor("did:plc:a") })(world);
      onRelay({ status: 500 })(world);
    },
    error: notFound,
  },
  {
    name: "an account is deleted meanwhile",
    isMutating: true,
    arrange({ network, alice, events }) {
      network.faults.add({
        method: listRecords,
        did: alice.did,
        times: 1,
        async lie(truth) {
          const { did, account } = await alice.setStatus("deleted");
          const rev = accountRev(account.time, 0);
          events.push({ kind: "account", did, active: false, status: "deleted", rev });
          return truth;
        },
      });
    },
    errors: { alice: "repo_not_found" },
  },
  {
    name: "the stream brings old and new out of order",
    isMutating: true,
    async arrange({ collection, alice, anna, bob, events }) {
      const history: CommitEvent[] = [];
      for (const account of [alice, anna, bob])
        for (const round of [1, 2, 3])
          for (const rkey of ["r000", "r001", "r002"])
            history.push(await written(account, collection, rkey, round));
      // Newest first, then every other one again.
      events.push(...history.toReversed(), ...history.filter((_, i) => i % 2 === 0));
    },
  },
];

function onHost(rule: FaultRule): (world: Pick<World, "network" | "host">) => void {
  return ({ network, host }) => void network.faults.add({ service: "pds", host, ...rule });
}

/** The relay is everybody's: it is the one collection that it has trouble with. */
function onRelay(rule: FaultRule): (world: Pick<World, "network" | "collection">) => void {
  return ({ network, collection }) => void network.faults.add({ service: "relay", collection, ...rule });
}

/** A write to a repo, and the event of it; the last round deletes one of the records. */
async function written(
  account: Account,
  collection: string,
  rkey: string,
  round: number,
): Promise<CommitEvent> {
  const base = { kind: "commit", did: account.did, collection, rkey } as const;
  if (round === 3 && rkey === "r001") {
    const { rev } = await account.delete(collection, rkey);
    return { ...base, action: "delete", rev, cid: "" };
  }
  const record = { $type: collection, text: `round ${round}` };
  const { rev, cid } = await account.put(collection, rkey, record);
  return { ...base, action: "update", rev, cid, record };
}

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((go) => server.listen(0, "127.0.0.1", go));
  const address = server.address();
  await new Promise((go) => server.close(go));
  return typeof address === "object" && address ? address.port : 1;
}

export type Cast = Pick<World, "alice" | "anna" | "bob" | "collection">;

/** New accounts with records of a collection of their own. */
export async function createCast(network: Network, host: number, collection: string): Promise<Cast> {
  const accounts: Account[] = [];
  for (const [at, count] of [
    [host, 101],
    [host, 3],
    [host + 1, 3],
  ] as const) {
    const account = await network.createAccount({ host: at });
    await fill(account, collection, count);
    accounts.push(account);
  }
  const [alice, anna, bob] = accounts as [Account, Account, Account];
  return { collection, alice, anna, bob };
}

/** A world in which a fault is about to happen. */
export async function arrangeWorld(
  { arrange, isHeld = true }: FaultCase,
  parts: Cast & Pick<World, "network" | "host" | "seen">,
): Promise<World> {
  const { network, bob } = parts;
  let isOpen = !isHeld;
  const wait: Reply = { status: 429, headers: { "Retry-After": "1" }, body: "{}" };
  network.faults.add({ service: "pds", did: bob.did, lie: (truth) => (isOpen ? truth : wait) });
  const world: World = { ...parts, open: () => void (isOpen = true), events: [] };
  await arrange(world);
  return world;
}
