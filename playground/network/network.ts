import { Secp256k1Keypair } from "@atproto/crypto";
import { Account, type AccountParts } from "./account.ts";
import { createNetworkClock, type NetworkClock } from "./clock.ts";
import { createDid } from "./did.ts";
import { createDirectory, type Directory } from "./directory.ts";
import type { StreamEntry } from "./event-stream.ts";
import { createFaults, type Faults } from "./faults.ts";
import { type Jetstream, startJetstream } from "./jetstream.ts";
import { type Labeler, startLabeler } from "./labeler.ts";
import { type JetstreamV2, startJetstreamV2 } from "./jetstream-v2.ts";
import { startPds } from "./pds.ts";
import { startPlc } from "./plc.ts";
import { createPrng, type Prng } from "./prng.ts";
import { createQueue } from "./queue.ts";
import { type Relay, startRelay } from "./relay.ts";
import { createSequencer } from "./sequencer.ts";
import type { Service } from "./service.ts";
import { StreamLog } from "./stream.ts";

export interface NetworkOptions {
  /** The same seed and the same calls give the same DIDs, keys, revs, CIDs and order. @default 1 */
  seed?: number | string;
  /** Number of PDS hosts. @default 1 */
  hosts?: number;
  /**
   * Unix milliseconds. Pass `Date.now` where a consumer compares cursors with its own clock.
   * @default a simulated clock: starts at 2026-01-01 and moves one millisecond each time it is read
   */
  now?: () => number;
  /** First of the ports: PLC, relay, Jetstream, then the PDS hosts and the Jetstream with an archive. @default free ones */
  port?: number;
  /** Messages the relay keeps for replay. @default 50,000 */
  relayLogLimit?: number;
  /** Events the Jetstream keeps for replay. @default 2,000,000 */
  jetstreamLogLimit?: number;
}

export interface Network extends AsyncDisposable {
  seed: number | string;
  plcUrl: string;
  relayUrl: string;
  /** `ws://…`; clients append `/subscribe`. */
  jetstreamUrl: string;
  pds: { url: string }[];
  relay: Relay;
  jetstream: Jetstream;
  /** Has the same events, an archive of them, and the v2 socket. */
  jetstreamV2: JetstreamV2;
  faults: Faults;
  clock: NetworkClock;
  /** In the order of their DIDs. */
  readonly accounts: Account[];
  /** @default handle `alice.test` and so on, on the hosts in turn */
  createAccount(options?: { handle?: string; host?: number }): Promise<Account>;
  /** An account that also labels, on a port of its own. */
  createLabeler(options?: { handle?: string; host?: number }): Promise<Labeler>;
  close(): Promise<void>;
}

/**
 * A local AT Protocol network: PLC directory, PDS hosts, relay, Jetstream and labelers, each on its own port of 127.0.0.1.
 * @example
 * await using network = await createNetwork({ seed: 7 });
 * const alice = await network.createAccount();
 * await alice.create("xyz.statusphere.status", { status: "👍", createdAt: "2026-01-01T00:00:00Z" });
 */
export async function createNetwork(options: NetworkOptions = {}): Promise<Network> {
  const { seed = 1 } = options;
  const faults = createFaults(createPrng(`${seed}/faults`));
  const directory = createDirectory();
  const clock = createNetworkClock(options.now);
  const relayLog = new StreamLog<StreamEntry>(options.relayLogLimit ?? 50_000);
  const services = await startServices(options, { seed, faults, directory, relayLog });
  const { plc, relay, jetstream, jetstreamV2, pds, start, close } = services;
  const sequencer = createSequencer(clock, relayLog, (event) => {
    jetstream.publish(event);
    jetstreamV2.publish(event);
  });
  const createAccount = accountMaker({ clock, sequencer, inOrder: createQueue() }, { seed, directory, pds });
  let labelers = 0;
  return {
    seed,
    plcUrl: plc.url,
    relayUrl: relay.url,
    jetstreamUrl: jetstream.url,
    pds,
    relay,
    jetstream,
    jetstreamV2,
    faults,
    clock,
    get accounts() {
      return directory.sorted();
    },
    createAccount,
    async createLabeler(of) {
      const prng = createPrng(`${seed}/labelers/${labelers++}`);
      return start(startLabeler({ account: await createAccount(of), clock, faults, prng }));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface Services {
  plc: Service;
  relay: Relay;
  jetstream: Jetstream;
  jetstreamV2: JetstreamV2;
  pds: Service[];
  /** Has another service closed with these. */
  start<Started extends { close(): Promise<void> }>(starting: Promise<Started>): Promise<Started>;
  close(): Promise<void>;
}

async function startServices(
  { hosts = 1, port, jetstreamLogLimit }: NetworkOptions,
  parts: { seed: number | string; faults: Faults; directory: Directory; relayLog: StreamLog<StreamEntry> },
): Promise<Services> {
  const { faults, directory, relayLog } = parts;
  const prng = createPrng(`${parts.seed}/sockets`);
  const started: { close(): Promise<void> }[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(started.map((service) => service.close()));
  };
  const portAt = (offset: number): { port?: number } => (port === undefined ? {} : { port: port + offset });
  const start = async <Started extends { close(): Promise<void> }>(
    starting: Promise<Started>,
  ): Promise<Started> => {
    const service = await starting;
    started.push(service);
    return service;
  };
  try {
    const plc = await start(startPlc(directory, { faults, ...portAt(0) }));
    const relay = await start(startRelay(directory, { faults, prng, log: relayLog, ...portAt(1) }));
    const jetstream = await start(
      startJetstream({ faults, prng, logLimit: jetstreamLogLimit, ...portAt(2) }),
    );
    const pds: Service[] = [];
    for (let index = 0; index < hosts; index++) {
      pds.push(await start(startPds(directory, { index, faults, ...portAt(3 + index) })));
    }
    const jetstreamV2 = await start(startJetstreamV2({ faults, prng, ...portAt(3 + hosts) }));
    return { plc, relay, jetstream, jetstreamV2, pds, start, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function accountMaker(
  shared: Pick<AccountParts, "clock" | "sequencer" | "inOrder">,
  { seed, directory, pds }: { seed: number | string; directory: Directory; pds: Service[] },
): Network["createAccount"] {
  const prng = createPrng(`${seed}/identities`);
  let count = 0;
  return ({ handle = "", host } = {}) =>
    shared.inOrder(async () => {
      const index = host ?? count % pds.length;
      const home = pds[index];
      if (!home)
        throw new RangeError(
          `[network] no PDS ${index}: createNetwork({ hosts: ${index + 1} }) starts that many`,
        );
      const name = handle || defaultHandle(count);
      if (directory.find(name)) throw new Error(`[network] handle ${name} is taken`);
      count++;
      const identity = await nextIdentity(prng);
      const account = await Account.open({
        ...identity,
        ...shared,
        handle: name,
        pds: { url: home.url, index },
      });
      directory.add(account);
      return account;
    });
}

const names = ["alice", "bob", "carol", "dan", "erin", "frank", "grace", "heidi"];

function defaultHandle(count: number): string {
  const round = Math.floor(count / names.length);
  return `${names[count % names.length]}${round === 0 ? "" : round + 1}.test`;
}

async function nextIdentity(
  prng: Prng,
): Promise<{ did: string; keypair: Secp256k1Keypair; clockId: number }> {
  const keypair = await Secp256k1Keypair.import(prng.bytes(32));
  return { did: createDid(prng), keypair, clockId: prng.int(1024) };
}
