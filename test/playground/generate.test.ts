import { encode } from "@atproto/lex-cbor";
import { cidForCbor } from "@atproto/lex-data";
import { describe, expect, it } from "vitest";
import type { AccountStatus, JetstreamEvent } from "../../playground/network/event.ts";
import {
  type GenerateOptions,
  generateEvents,
  generateLines,
  type PlainRecord,
} from "../../playground/network/generate.ts";
import { createNetwork } from "../../playground/network/network.ts";
import { oracle } from "../../playground/network/oracle.ts";
import { datetimeAt, microsOf, tidAt } from "../../playground/network/clock.ts";
import { collectEvents } from "./_sockets.ts";

const everything: GenerateOptions = {
  events: 3000,
  dids: 20,
  collections: ["app.example.one", "app.example.two"],
  updates: 0.2,
  deletes: 0.1,
  burst: 0.2,
  accounts: 0.02,
  duplicates: 0.05,
  stale: 0.05,
};

describe("generate", () => {
  const events = [...generateEvents(everything)];

  it("repeats itself for a seed", () => {
    expect([...generateLines(everything)]).toEqual(events.map((event) => JSON.stringify(event)));
    expect([...generateEvents({ ...everything, seed: 2 })]).not.toEqual(events);
  });

  it("makes every kind of event, in the order of time_us, with correct CIDs", async () => {
    expect(events).toHaveLength(3000);
    const kinds = new Set(
      events.map((event) => (event.kind === "commit" ? event.commit.operation : event.kind)),
    );
    expect(kinds).toEqual(new Set(["create", "update", "delete", "account"]));
    expect(
      events.every(({ time_us }, index) => index === 0 || time_us >= (events[index - 1]?.time_us ?? 0)),
    ).toBe(true);
    for (const event of events.slice(0, 200)) {
      if (event.kind !== "commit" || !event.commit.record) continue;
      // The generator makes plain records only.
      const cid = await cidForCbor(encode(event.commit.record as PlainRecord));
      expect(event.commit.cid).toBe(cid.toString());
    }
  });

  it("hides nothing from a socket: what the Jetstream replays is what was loaded", async () => {
    await using network = await createNetwork();
    expect(await network.jetstream.load(generateLines(everything))).toBe(3000);
    expect(await collectEvents(`${network.jetstreamUrl}/subscribe?cursor=0`, 3000)).toEqual(events);
  });

  it("makes its own kind of records", () => {
    const [event] = generateEvents({
      events: 1,
      record: ({ collection }) => ({ $type: collection, n: [1, { deep: true }] }),
    });
    expect(event).toMatchObject({ commit: { record: { n: [1, { deep: true }] } } });
  });
});

describe("oracle", () => {
  const did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
  const start = 1_767_225_600_000_000;
  const commit = (at: number, operation: "create" | "update" | "delete", rkey = "one"): JetstreamEvent => ({
    did,
    time_us: start,
    kind: "commit",
    commit: {
      rev: tidAt(start + at, 0),
      operation,
      collection: "app.example.one",
      rkey,
      ...(operation === "delete" ? {} : { record: { at }, cid: `cid${at}` }),
    },
  });
  const account = (at: number, status: AccountStatus): JetstreamEvent => {
    const active = status === "active";
    return {
      did,
      time_us: start,
      kind: "account",
      account: { active, did, seq: 1, time: datetimeAt(start + at), ...(active ? {} : { status }) },
    };
  };
  const cids = (...events: JetstreamEvent[]): string[] => [...oracle(events).values()].map(({ cid }) => cid);

  it.each([
    ["the highest rev wins", [commit(1, "create"), commit(2, "update")], ["cid2"]],
    ["a stale event never wins", [commit(2, "update"), commit(1, "create")], ["cid2"]],
    ["a delete wins over older creates", [commit(1, "create"), commit(2, "delete")], []],
    ["a stale create does not resurrect", [commit(2, "delete"), commit(1, "create")], []],
    ["a newer create does", [commit(2, "delete"), commit(3, "create")], ["cid3"]],
    ["account deletion removes", [commit(1, "create"), account(2, "deleted")], []],
    ["… and voids older commits that arrive later", [account(2, "deleted"), commit(1, "create")], []],
    [
      "… but not newer ones",
      [commit(1, "create"), account(2, "deleted"), commit(3, "create", "two")],
      ["cid3"],
    ],
    ["… nor newer ones that came before", [commit(3, "create"), account(2, "deleted")], ["cid3"]],
    ["a takedown hides", [commit(1, "create"), account(2, "takendown")], []],
    [
      "… until active, with what was written meanwhile",
      [commit(1, "create"), account(2, "suspended"), commit(3, "update"), account(4, "active")],
      ["cid3"],
    ],
    [
      "an older account event is ignored",
      [commit(1, "create"), account(4, "active"), account(3, "deactivated")],
      ["cid1"],
    ],
  ])("%s", (_rule, events, expected) => {
    expect(cids(...events)).toEqual(expected);
  });

  it("reads times to the microsecond", () => {
    expect(microsOf(datetimeAt(start + 123_456))).toBe(start + 123_456);
    expect(microsOf("2026-01-01T00:00:00Z")).toBe(start);
    expect(microsOf("2026-01-01T01:00:00.123456789+01:00")).toBe(start + 123_456);
  });
});
