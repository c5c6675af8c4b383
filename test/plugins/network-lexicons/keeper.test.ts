import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createClock } from "../../../core/clock.ts";
import type { Database } from "../../../core/db/database.ts";
import { createEvents } from "../../../core/events.ts";
import { createAppHooks } from "../../../core/hooks.ts";
import { RefusedAnswer } from "../../../core/http/answer.ts";
import { createLexiconRegistry, type LexiconRegistry } from "../../../core/lexicons/registry.ts";
import type { PublishedLexicon } from "../../../plugins/network-lexicons/fetch.ts";
import { createKeeper, type Keeper, type KeeperParts } from "../../../plugins/network-lexicons/keeper.ts";
import { createServing } from "../../../plugins/network-lexicons/serving.ts";
import { databases, migrated } from "../../setup/databases.ts";
import { createRecordingLog, type LogLine } from "../../setup/log.ts";
import { recordLexicon, status } from "./_atmosphere.ts";

const alice = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

describe.each(databases())("what is read in the background on $name", (subject) => {
  let db: Database & AsyncDisposable;
  let lexicons: LexiconRegistry;
  let lines: LogLine[];
  let keeper: Keeper;
  /** What is being read; the test answers. */
  let reads: { nsid: string; answer(found: PublishedLexicon): void; fail(error: Error): void }[];

  beforeEach(async () => {
    db = await migrated(subject);
    reads = [];
    const recording = createRecordingLog();
    lines = recording.lines;
    const hooks = createAppHooks();
    const clock = createClock();
    lexicons = await createLexiconRegistry(db, hooks, clock, recording.log);
    const app = { lexicons, clock, log: recording.log, events: createEvents(hooks, clock, recording.log) };
    const parts: KeeperParts = {
      app,
      serving: createServing(app),
      fetch: (nsid) =>
        new Promise((answer, fail) => {
          reads.push({ nsid, answer, fail });
        }),
      pace: { refreshMs: 1_000_000, retryMs: 1, maxRetryMs: 8, concurrency: 4 },
      random: () => 0.5,
    };
    keeper = createKeeper(parts);
    hooks.hook("lexicon:changed", ({ action, lexicon }) =>
      action === "deleted" ? keeper.forget(lexicon.id) : keeper.follow(lexicon),
    );
    keeper.start();
  });
  afterEach(async () => {
    await keeper.close();
    await db[Symbol.asyncDispose]();
  });

  const published = (extra: object = {}): PublishedLexicon => ({
    nsid: status,
    authorityDid: alice,
    document: { ...recordLexicon(status, extra) },
    type: "record",
  });
  const serve = (extra: object = {}): ReturnType<LexiconRegistry["put"]> =>
    lexicons.put({
      document: { ...recordLexicon(status, extra) },
      source: "network",
      authorityDid: alice,
      lastFetchedAt: "2026-01-01T00:00:00Z",
    });
  const reading = (count: number): Promise<void> =>
    vi.waitFor(() => expect(reads).toHaveLength(count), { interval: 1 });
  const described = (): unknown => lexicons.get(status)?.document["description"];

  test("a version that comes while an older one is read holds, and it is read once more", async () => {
    await serve();
    keeper.soon(status);
    await reading(1);
    await serve({ description: "by the stream" });
    reads[0]?.answer(published({ description: "older" }));
    await reading(2);
    expect(described()).toBe("by the stream");
    reads[1]?.answer(published({ description: "newest" }));
    await vi.waitFor(() => expect(described()).toBe("newest"));
  });

  test("what is removed while it is read stays removed", async () => {
    await serve();
    keeper.soon(status);
    await reading(1);
    await lexicons.remove(status);
    reads[0]?.answer(published());
    await new Promise(setImmediate);
    expect(lexicons.get(status)).toBeUndefined();
    expect(reads).toHaveLength(1);
  });

  test("an upload that comes while it is read holds", async () => {
    await serve();
    keeper.soon(status);
    await reading(1);
    await lexicons.put({ document: { ...recordLexicon(status, { description: "uploaded" }) } });
    reads[0]?.answer(published());
    await new Promise(setImmediate);
    expect(lexicons.get(status)).toMatchObject({ source: "manual", revision: 2 });
  });

  test("attempts come at doubling distances up to a maximum, or when the server allows it", async () => {
    keeper.want(status, { targetCollection: null, backfill: false, origin: "config", actor: null });
    for (let i = 1; i <= 6; i++) {
      await reading(i);
      reads.at(-1)?.fail(new Error("away"));
    }
    await reading(7);
    const cause = new RefusedAnswer("the PDS", { status: 429, waitMs: 90_000 });
    reads.at(-1)?.fail(new Error("busy", { cause }));
    await vi.waitFor(() => expect(lines.at(-1)).toMatchObject({ reason: "busy: the PDS answers 429" }));
    const waits = lines.flatMap(({ nextInMs }) => (nextInMs === undefined ? [] : [nextInMs]));
    expect(waits).toEqual([1, 2, 3, 6, 6, 6, 90_000]);
    expect(lines.map(({ level }) => level)).toEqual([
      "warn",
      "debug",
      "debug",
      "debug",
      "debug",
      "debug",
      "warn",
    ]);
  });

  test("what is asked for while it is read is read again after it", async () => {
    await serve();
    keeper.soon(status);
    await reading(1);
    keeper.soon(status);
    reads[0]?.answer(published());
    await reading(2);
  });
});
