import { Secp256k1Keypair } from "@atproto/crypto";
import { WriteOpAction } from "@atproto/repo";
import { tidAt } from "../../../playground/network/clock.ts";
import { accountFrame, commitFrame, identityFrame, syncFrame } from "../../../playground/network/frames.ts";
import { SignedRepo, type RepoCommit } from "../../../playground/network/signed-repo.ts";
import { fakeServer, type FakeServer } from "./fake-server.ts";
import { micros, note } from "./fixture.ts";

/** A relay and the DID documents of alice and bob on one address, with keys that can be exchanged. */
export async function fakeRelay(onConnect?: (index: number, server: FakeServer) => void) {
  const keys = new Map<string, string>();
  let lookups = 0;
  const server: FakeServer = await fakeServer({
    onConnect: (_, index) => onConnect?.(index, server),
    onRequest(request, response) {
      lookups += 1;
      if (relay.away) return void response.writeHead(503).end();
      const id = decodeURIComponent((request.url ?? "/").slice(1));
      const publicKeyMultibase = keys.get(id)?.slice("did:key:".length);
      const verificationMethod = [
        { id: `${id}#atproto`, type: "Multikey", controller: id, publicKeyMultibase },
      ];
      if (!publicKeyMultibase) return void response.writeHead(404).end("{}");
      response
        .writeHead(200, { "content-type": "application/json" })
        .end(JSON.stringify({ id, verificationMethod }));
    },
  });
  let seq = 0;
  const envelope = (did: string) => ({ seq: ++seq, did, time: new Date().toISOString() });
  const relay = {
    away: false,
    server,
    url: server.url,
    plcUrl: server.url.replace("ws:", "http:"),
    keys,
    lookups: () => lookups,
    seq: () => seq,
    commit: (did: string, commit: RepoCommit, change: Partial<RepoCommit> = {}) =>
      server.raw(commitFrame(envelope(did), { ...commit, ...change })),
    sync: (did: string, commit: RepoCommit) => server.raw(syncFrame(envelope(did), commit)),
    identity: (did: string, handle: string) => server.raw(identityFrame(envelope(did), handle)),
    account: (did: string, status: "active" | "deleted") => server.raw(accountFrame(envelope(did), status)),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
  return relay;
}

export async function openRepo(did: string, keys: Map<string, string>) {
  const keypair = await Secp256k1Keypair.create();
  keys.set(did, keypair.did());
  const { repo } = await SignedRepo.create(did, keypair, tidAt(micros(), 1));
  const create = (rkey: string): Promise<RepoCommit> =>
    repo.commit(
      [{ action: WriteOpAction.Create, collection: note, rkey, record: { $type: note, rkey } }],
      tidAt(micros(), 1),
    );
  return { repo, keypair, create };
}
