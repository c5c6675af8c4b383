import { AtpAgent } from "@atproto/api";
import { lexicons } from "@atproto/api/dist/client/lexicons.js";
import { verifySignature } from "@atproto/crypto";
import { IdResolver } from "@atproto/identity";
import { encode } from "@atproto/lex-cbor";
import type { LexMap } from "@atproto/lex-data";
import { ErrorFrame, Frame, MessageFrame } from "@atproto/xrpc-server";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Labeler } from "../../playground/network/labeler.ts";
import { createNetwork, type Network } from "../../playground/network/network.ts";
import { collect } from "./_sockets.ts";

const uri = "at://did:plc:author/org.example.post/a";

let network: Network;
let labeler: Labeler;
beforeEach(async () => {
  network = await createNetwork();
  labeler = await network.createLabeler();
});
afterEach(() => network.close());

const streamOf = (query: string): string =>
  `${labeler.url.replace("http", "ws")}/xrpc/com.atproto.label.subscribeLabels${query}`;

async function frames(query: string, count: number): Promise<{ frames: Frame[]; code: number }> {
  const { messages, code } = await collect(streamOf(query), count);
  return { frames: messages.map((message) => Frame.fromBytes(message)), code };
}

describe("labeler", () => {
  it("is named in its DID document, as published resolvers read it", async () => {
    const resolver = new IdResolver({ plcUrl: network.plcUrl });
    const document = await resolver.did.ensureResolve(labeler.did);
    expect(document.service).toContainEqual({
      id: "#atproto_labeler",
      type: "AtprotoLabeler",
      serviceEndpoint: labeler.url,
    });
    expect(document.verificationMethod?.map(({ id }) => id)).toEqual([
      `${labeler.did}#atproto`,
      `${labeler.did}#atproto_label`,
    ]);
  });

  it("sends messages that are as the lexicon says, with labels that verify", async () => {
    await labeler.emit(
      { uri, val: "spam" },
      { uri: "did:plc:author", val: "bot", exp: "2030-01-01T00:00:00Z" },
    );
    await labeler.emit({ uri, val: "spam", neg: true });
    const { frames: sent } = await frames("?cursor=0", 2);
    for (const [i, frame] of sent.entries()) {
      if (!(frame instanceof MessageFrame)) throw new Error("not a message");
      expect(frame.header).toEqual({ op: 1, t: "#labels" });
      const body = frame.body as { seq: number; labels: LexMap[] };
      lexicons.assertValidXrpcMessage("com.atproto.label.subscribeLabels", {
        $type: "com.atproto.label.subscribeLabels#labels",
        ...body,
      });
      expect(body.seq).toBe(i + 1);
      for (const { sig, ...label } of body.labels)
        expect(await verifySignature(labeler.keypair.did(), encode(label), sig as Uint8Array)).toBe(true);
    }
    expect((sent[1] as MessageFrame<{ labels: LexMap[] }>).body.labels[0]).toMatchObject({ neg: true });
  });

  it("sends from a cursor on, says that one is too old, and refuses one of the future", async () => {
    for (const val of ["a", "b", "c"]) await labeler.emit({ uri, val });
    expect((await frames("?cursor=2", 1)).frames[0]).toMatchObject({ body: { seq: 3 } });
    labeler.forget(2);
    expect((await frames("?cursor=1", 2)).frames).toMatchObject([
      { header: { t: "#info" }, body: { name: "OutdatedCursor" } },
      { body: { seq: 3 } },
    ]);
    labeler.restart();
    const { frames: refused, code } = await frames("?cursor=3", 2);
    expect(refused).toEqual([expect.any(ErrorFrame)]);
    expect(refused[0]).toMatchObject({ body: { error: "FutureCursor" } });
    expect(code).toBe(1008);
  });

  it("answers the published client, page by page, with the newest label of each subject and value", async () => {
    const agent = new AtpAgent({ service: labeler.url });
    await labeler.emit({ uri, val: "a" }, { uri, val: "b" }, { uri: `${uri}2`, val: "c" });
    await labeler.emit({ uri, val: "a", neg: true });
    const ask = async (params: Parameters<typeof agent.com.atproto.label.queryLabels>[0]) =>
      (await agent.com.atproto.label.queryLabels(params)).data;
    const first = await ask({ uriPatterns: [uri], limit: 1 });
    expect(first.labels).toMatchObject([{ val: "b", src: labeler.did, sig: expect.any(Uint8Array) }]);
    const second = await ask({ uriPatterns: [uri], limit: 1, cursor: first.cursor ?? "" });
    expect(second.labels).toMatchObject([{ val: "a", neg: true }]);
    expect((await ask({ uriPatterns: ["at://did:plc:author/*"] })).labels).toHaveLength(3);
    expect((await ask({ uriPatterns: [uri], sources: ["did:plc:other"] })).labels).toEqual([]);
  });

  it("is the same for the same seed", async () => {
    const again = await createNetwork();
    const other = await again.createLabeler();
    expect([other.did, other.keypair.did()]).toEqual([labeler.did, labeler.keypair.did()]);
    await again.close();
  });
});
