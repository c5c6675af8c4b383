import { emoji } from "./emoji.ts";
import { setTimeout as sleep } from "node:timers/promises";
import type { Account } from "./account.ts";
import { datetimeAt } from "./clock.ts";
import type { Network } from "./network.ts";
import { createPrng, type Prng } from "./prng.ts";

export interface StatusphereOptions {
  /** @default 5 */
  accounts?: number;
  /** Records written a second, by all accounts together. @default 2 */
  rate?: number;
}

export interface Statusphere {
  accounts: Account[];
  /** Stops after the write in progress. */
  stop(): Promise<void>;
}

const collection = "xyz.statusphere.status";

/** New accounts that post a status each and then keep posting; now and then they change or delete one. */
export async function startStatusphere(
  network: Network,
  { accounts: count = 5, rate = 2 }: StatusphereOptions = {},
): Promise<Statusphere> {
  const prng = createPrng(`${network.seed}/statusphere`);
  const accounts: Account[] = [];
  for (let made = 0; made < count; made++) {
    const account = await network.createAccount();
    await account.create(collection, status(network, prng));
    accounts.push(account);
  }
  const stopping = new AbortController();
  const posting =
    rate > 0 && count > 0
      ? keepPosting(network, accounts, prng, { rate, signal: stopping.signal })
      : undefined;
  return {
    accounts,
    async stop() {
      stopping.abort();
      await posting;
    },
  };
}

async function keepPosting(
  network: Network,
  accounts: Account[],
  prng: Prng,
  { rate, signal }: { rate: number; signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    await sleep(1000 / rate, undefined, { signal }).catch(() => undefined);
    if (!signal.aborted) await post(prng.pick(accounts), network, prng);
  }
}

async function post(account: Account, network: Network, prng: Prng): Promise<void> {
  // A test or a visitor may have taken the account down meanwhile.
  if (account.status !== "active" || !account.repo) return;
  const roll = prng.next();
  const newest = account.repo.records.keys(collection, { limit: 20, reverse: false });
  if (newest.length === 0 || roll < 0.8) await account.create(collection, status(network, prng));
  else if (roll < 0.9) await account.put(collection, prng.pick(newest), status(network, prng));
  else await account.delete(collection, prng.pick(newest));
}

function status(network: Network, prng: Prng): { status: string; createdAt: string } {
  return { status: prng.pick(emoji), createdAt: datetimeAt(network.clock.micros()) };
}
