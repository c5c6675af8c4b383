import { describe, expect, onTestFinished, test } from "vitest";
import { createOutgoingFetch } from "../../../core/http/outgoing.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { listRecords, type RecordPage } from "../../../plugins/backfill/list-records.ts";
import { createRoom, NoRoom, type Room } from "../../../plugins/backfill/room.ts";
import { status, watchRequests, type SeenRequest } from "./_bench.ts";

const { signal } = new AbortController();
const MiB = 1024 * 1024;

interface Host {
  network: Network;
  seen: SeenRequest[];
  page(options?: { room?: Room; cursor?: string }): Promise<RecordPage>;
}

/** A host with records of so many characters. */
async function openHost(...lengths: number[]): Promise<Host> {
  const network = await createNetwork({ seed: 31 });
  onTestFinished(network.close);
  const account = await network.createAccount();
  for (const [i, length] of lengths.entries())
    await account.create(status, { text: "x".repeat(length) }, `r${String(i).padStart(3, "0")}`);
  const { did } = account;
  const ask = { pds: network.pds[0]?.url ?? "", did, collection: status, rev: "3mmmmmmmmmm22" };
  const fetch = createOutgoingFetch({ allowPrivate: true, maxResponseBytes: 64 * MiB });
  const page: Host["page"] = ({ room = createRoom(64 * MiB), cursor } = {}) =>
    listRecords(fetch, { ...ask, cursor }, room, signal);
  return { network, seen: watchRequests(network), page };
}

const keysOf = ({ events }: RecordPage): string[] => events.map(({ rkey }) => rkey);

describe("a page of records", () => {
  test("that is too large is asked for in smaller ones", async () => {
    const { page, seen } = await openHost(...Array.from({ length: 20 }, () => MiB));
    const first = await page();
    expect(first.events).toHaveLength(10);
    expect(seen.map(({ params }) => params.get("limit"))).toEqual(["100", "10"]);
    const second = await page({ cursor: first.cursor ?? "" });
    expect([...keysOf(first), ...keysOf(second)]).toHaveLength(20);
  });

  test("leaves out, and counts, what is larger than a record may be", async () => {
    const { page } = await openHost(10, 2 * MiB, 2 * MiB - 100, 10);
    const { events, oversized } = await page();
    expect({ keys: events.map(({ rkey }) => rkey), oversized }).toEqual({
      keys: ["r003", "r002", "r000"],
      oversized: 1,
    });
  });

  test("that holds nothing but what is too large is no end", async () => {
    const { page } = await openHost(3 * MiB, 10);
    expect(await page({ cursor: "r001" })).toMatchObject({
      events: [],
      oversized: 1,
      cursor: expect.anything(),
    });
  });

  test("takes room until it is taken in, and gives all of it back", async () => {
    const { page } = await openHost(10_000, 10_000);
    const room = createRoom(30_000);
    const first = await page({ room });
    await expect(page({ room })).rejects.toThrow(NoRoom);
    first.release();
    expect(keysOf(await page({ room }))).toHaveLength(2);
    await expect(page({ room })).rejects.toThrow(NoRoom);
  });

  test("that fails leaves nothing in the room", async () => {
    const { page, network } = await openHost(10_000, 10_000);
    const room = createRoom(30_000);
    network.faults.add({ times: 3, wrongJson: true });
    for (let i = 0; i < 3; i++) await expect(page({ room })).rejects.toThrow(/not JSON/);
    network.faults.add({ times: 3, truncateAfter: 15_000 });
    for (let i = 0; i < 3; i++) await expect(page({ room })).rejects.toThrow();
    expect(keysOf(await page({ room }))).toHaveLength(2);
  });
});
