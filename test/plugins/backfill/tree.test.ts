import { P256Keypair } from "@atproto/crypto";
import { encode } from "@atproto/lex-cbor";
import { BlockMap, blocksToCarFile } from "@atproto/repo";
import { expect, test } from "vitest";
import { getRepo } from "../../../plugins/backfill/get-repo.ts";
import { createRoom } from "../../../plugins/backfill/room.ts";

const did = "did:web:evil.example";
const collection = "app.bsky.feed.post";

/** A signed export whose nodes each link ten times to the one below: a few kilobytes with ten to the power of `depth` leaves. */
async function exportOf(depth: number): Promise<{ car: Uint8Array; signingKey: string }> {
  const key = await P256Keypair.create();
  const blocks = new BlockMap();
  const record = await blocks.add({ $type: collection, text: "x" });
  const entry = (name: string, t: unknown): object => ({
    p: 0,
    k: new TextEncoder().encode(`${collection}/${name}`),
    v: record,
    t,
  });
  let node = await blocks.add({ l: null, e: [entry("a", null)] } as never);
  for (let level = 0; level < depth; level++) {
    const e = Array.from({ length: 9 }, (_, i) => entry(`a${i}`, node));
    node = await blocks.add({ l: node, e } as never);
  }
  const unsigned = { did, version: 3, data: node, rev: "3lbxyzabcde2a", prev: null };
  const sig = await key.sign(encode(unsigned as never));
  const root = await blocks.add({ ...unsigned, sig } as never);
  return { car: await blocksToCarFile(root, blocks), signingKey: key.did() };
}

test("an export whose tree has a node twice is refused before it is walked", async () => {
  const { car, signingKey } = await exportOf(30);
  expect(car.length).toBeLessThan(40_000);
  const room = createRoom(200_000);
  const ask = { pds: "https://evil.example", did, collections: [collection], signingKey };
  const answer = async (): Promise<Response> => new Response(Buffer.from(car));
  await expect(getRepo(answer, ask, room, new AbortController().signal)).rejects.toMatchObject({
    kind: "repo_invalid",
    message: expect.stringContaining(did),
  });
  expect(room.take(200_000)).toBe(true); // nothing of it is held
});

test("an export of tiny blocks takes the room that it takes in memory", async () => {
  const { car, signingKey } = await exportOf(30);
  const ask = { pds: "https://evil.example", did, collections: [collection], signingKey };
  const answer = async (): Promise<Response> => new Response(Buffer.from(car));
  // Thirty blocks and some: their bytes alone would fit.
  expect(await getRepo(answer, ask, createRoom(car.length), new AbortController().signal)).toBeUndefined();
});
