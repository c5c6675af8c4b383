import { Secp256k1Keypair } from "@atproto/crypto";
import { WriteOpAction } from "@atproto/repo";
import { expect, test } from "vitest";
import { readProof } from "../../../plugins/firehose/proof.ts";
import { tidAt } from "../../../playground/network/clock.ts";
import { SignedRepo } from "../../../playground/network/signed-repo.ts";
import { alice, bob, micros, note } from "./fixture.ts";

async function repoWith(rkeys: string[]) {
  const keypair = await Secp256k1Keypair.create();
  const { repo } = await SignedRepo.create(alice, keypair, tidAt(micros(), 1));
  const commit = await repo.commit(
    rkeys.map((rkey) => ({
      action: WriteOpAction.Create,
      collection: note,
      rkey,
      record: { $type: note, rkey },
    })),
    tidAt(micros(), 1),
  );
  return { repo, commit, key: keypair.did() };
}

test("proves that a record is there, with its content, and that one is not", async () => {
  const { repo, commit, key } = await repoWith(["a", "b"]);
  const claim = { did: alice, collection: note, rkey: "a" };
  expect(await readProof(await repo.proof(note, "a"), claim, key)).toEqual({
    rev: commit.rev,
    cid: commit.ops[0]?.cid?.toString(),
    record: { $type: note, rkey: "a" },
  });
  const absent = { ...claim, rkey: "none" };
  expect(await readProof(await repo.proof(note, "none"), absent, key)).toEqual({
    rev: commit.rev,
    cid: null,
    record: null,
  });
});

test("is refused of another account, with another key, without its tree, and when it is no CAR", async () => {
  const { repo, key } = await repoWith(Array.from({ length: 500 }, (_, i) => `r${i}`));
  const car = await repo.proof(note, "r1");
  const claim = { did: alice, collection: note, rkey: "r1" };
  await expect(readProof(car, { ...claim, did: bob }, key)).rejects.toThrow("of the repo");
  const other = (await Secp256k1Keypair.create()).did();
  await expect(readProof(car, claim, other)).rejects.toThrow("not the account's");
  await expect(readProof(await repo.headCar(), claim, key)).rejects.toThrow();
  await expect(readProof(Buffer.from("no"), claim, key)).rejects.toThrow();
});

test("is refused with more blocks than it can need, before they are hashed", async () => {
  const { repo, key } = await repoWith(["a"]);
  const claim = { did: alice, collection: note, rkey: "a" };
  // Blocks of one byte, which have no hash: to read one of them would be another failure.
  const car = Buffer.concat([await repo.proof(note, "a"), Buffer.alloc(200, Buffer.from([1, 0]))]);
  await expect(readProof(car, claim, key)).rejects.toThrow("a CAR with more than 96 blocks");
});
