import { emoji } from "./emoji.ts";
import { datetimeAt, simulatedStart, tidAt } from "./clock.ts";
import { createDid } from "./did.ts";
import type { AccountStatus, JetstreamAccount, JetstreamCommit, JetstreamEvent } from "./event.ts";
import { createPrng, type Prng } from "./prng.ts";
import { cidOfPlainRecord } from "./record.ts";

export interface GenerateOptions {
  /** Number of events, repeated ones included. */
  events: number;
  /** @default 1 */
  seed?: number | string;
  /** Who writes: a list, or how many to make up. @default 1000 */
  dids?: number | string[];
  /** @default ["xyz.statusphere.status"] */
  collections?: string[];
  /** Share of events that update an existing record. @default 0.1 */
  updates?: number;
  /** Share of events that delete one. @default 0.05 */
  deletes?: number;
  /** Share of events that write the record of the event before once more, deleted or not. @default 0 */
  burst?: number;
  /** Share of account events: deletions, takedowns, returns. @default 0 */
  accounts?: number;
  /** Share of events that repeat the one before, to the byte. @default 0 */
  duplicates?: number;
  /** Share of events that repeat an old one: new `time_us`, old rev. @default 0 */
  stale?: number;
  /** `time_us` of the first event. @default 2026-01-01 */
  startUs?: number;
  /** Microseconds from one event to the next. @default 1000 */
  stepUs?: number;
  /** Makes the records; keys in sorted order make them look like Jetstream's. @default a status with an emoji */
  record?: RecordMaker;
}

export type RecordMaker = (context: { prng: Prng; collection: string; createdAt: string }) => PlainRecord;

/** A record without links and bytes: its JSON and its data model form are the same. */
export type PlainRecord = { [key: string]: PlainValue };
export type PlainValue = string | number | boolean | null | PlainValue[] | { [key: string]: PlainValue };

interface RecordKey {
  did: string;
  collection: string;
  rkey: string;
}

/** Old events to take stale ones from. */
const historySize = 10_000;
const inactive: AccountStatus[] = ["deleted", "takendown", "suspended", "deactivated"];

/**
 * Jetstream events with correct CIDs and revs but no repo behind them, in the order of `time_us`.
 * @example network.jetstream.load(generateLines({ events: 1_000_000, updates: 0.2, stale: 0.01 }))
 */
export function* generateEvents(options: GenerateOptions): Generator<JetstreamEvent> {
  const { events, duplicates = 0, stale = 0, accounts = 0 } = options;
  const prng = createPrng(`${options.seed ?? 1}/events`);
  const world = createWorld(options, prng);
  const history: JetstreamEvent[] = [];
  let previous: JetstreamEvent | undefined;
  for (let count = 0; count < events; count++) {
    const roll = prng.next();
    if (previous && roll < duplicates) {
      yield previous;
      continue;
    }
    const isStale = history.length > 0 && roll < duplicates + stale;
    if (isStale) previous = { ...prng.pick(history), time_us: world.tick() };
    else if (roll < duplicates + stale + accounts) previous = world.accountEvent();
    else previous = world.commit();
    if (!isStale) history[history.length < historySize ? history.length : prng.int(historySize)] = previous;
    yield previous;
  }
}

export function* generateLines(options: GenerateOptions): Generator<string> {
  for (const event of generateEvents(options)) yield JSON.stringify(event);
}

interface World {
  tick(): number;
  commit(): JetstreamCommit;
  accountEvent(): JetstreamAccount;
}

/** Remembers which records and accounts exist, so that updates and deletes are of something. */
function createWorld(options: GenerateOptions, prng: Prng): World {
  const { updates = 0.1, deletes = 0.05, burst = 0, stepUs = 1000, record = status } = options;
  const collections = options.collections ?? ["xyz.statusphere.status"];
  const dids = toDids(options.dids ?? 1000, prng);
  const records = createPopulation(dids);
  const away = new Set<string>();
  let now = (options.startUs ?? simulatedStart) - stepUs;
  let seq = 0;
  let last: RecordKey | undefined;

  const tick = (): number => (now += stepUs);

  function commit(): JetstreamCommit {
    const time = tick();
    const rev = tidAt(time, 0);
    const repeated = last && prng.chance(burst) ? last : undefined;
    const roll = prng.next();
    const existing = repeated ?? (roll < deletes + updates ? records.pick(prng) : undefined);
    const key = existing ?? { did: prng.pick(dids), collection: prng.pick(collections), rkey: rev };
    last = key;
    const exists = records.has(key);
    const operation = !exists ? "create" : roll < deletes ? "delete" : "update";
    if (operation === "delete") records.remove(key);
    if (operation === "create") records.add(key);
    const { did, collection, rkey } = key;
    const content =
      operation === "delete" ? {} : withCid(record({ prng, collection, createdAt: datetimeAt(time) }));
    return { did, time_us: time, kind: "commit", commit: { rev, operation, collection, rkey, ...content } };
  }

  function accountEvent(): JetstreamAccount {
    // Whole milliseconds, as in the network's own account events.
    now = Math.ceil((now + stepUs) / 1000) * 1000;
    const isReturn = away.size > 0 && prng.chance(0.5);
    const did = prng.pick(isReturn ? [...away] : dids);
    const newStatus = isReturn ? "active" : prng.pick(inactive);
    if (isReturn) away.delete(did);
    else away.add(did);
    if (newStatus === "deleted") records.removeAll(did);
    const state = isReturn ? { active: true } : { active: false, status: newStatus };
    return {
      did,
      time_us: now,
      kind: "account",
      account: { ...state, did, seq: ++seq, time: datetimeAt(now) },
    };
  }

  return { tick, commit, accountEvent };
}

interface Population {
  has(key: RecordKey): boolean;
  pick(prng: Prng): RecordKey | undefined;
  add(key: RecordKey): void;
  remove(key: RecordKey): void;
  removeAll(did: string): void;
}

/** The records that exist, by account: picking, adding and removing one does not depend on how many there are. */
function createPopulation(dids: string[]): Population {
  const byDid = new Map<string, { list: RecordKey[]; index: Map<string, number> }>();
  const pathOf = ({ collection, rkey }: RecordKey): string => `${collection}/${rkey}`;
  return {
    has: (key) => byDid.get(key.did)?.index.has(pathOf(key)) ?? false,
    pick(prng) {
      const list = byDid.get(prng.pick(dids))?.list ?? [];
      return list.length > 0 ? prng.pick(list) : undefined;
    },
    add(key) {
      const owned = byDid.get(key.did) ?? { list: [], index: new Map<string, number>() };
      byDid.set(key.did, owned);
      owned.index.set(pathOf(key), owned.list.push(key) - 1);
    },
    remove(key) {
      const owned = byDid.get(key.did);
      const place = owned?.index.get(pathOf(key));
      const moved = owned?.list.pop();
      if (!owned || place === undefined || !moved) return;
      owned.index.delete(pathOf(key));
      if (place === owned.list.length) return;
      owned.list[place] = moved;
      owned.index.set(pathOf(moved), place);
    },
    removeAll: (did) => void byDid.delete(did),
  };
}

function toDids(dids: number | string[], prng: Prng): string[] {
  return typeof dids === "number" ? Array.from({ length: dids }, () => createDid(prng)) : dids;
}

function withCid(record: PlainRecord): { record: PlainRecord; cid: string } {
  return { record, cid: cidOfPlainRecord(record) };
}

function status({ prng, collection, createdAt }: Parameters<RecordMaker>[0]): PlainRecord {
  return { $type: collection, createdAt, status: prng.pick(emoji) };
}
