import { decode } from "@atproto/lex-cbor";
import { MemoryBlockstore, readCarWithRoot, Repo, verifyCommitSig } from "@atproto/repo";
import { boundBlocks } from "./car.ts";
import { toRecord } from "./record.ts";

/** What an account's own signature says of one record. */
export interface Proof {
  /** Of the signed commit. */
  rev: string;
  /** Null when the repo has no such record. */
  cid: string | null;
  /** Null when the record cannot be read. */
  record: Record<string, unknown> | null;
}

/**
 * Reads the answer of `com.atproto.sync.getRecord`: a commit, the path through its tree, and the record.
 * @throws Error when the commit is not the account's, or the tree has a hole
 */
export async function readProof(
  car: Uint8Array,
  claim: { did: string; collection: string; rkey: string },
  signingKey: string,
): Promise<Proof> {
  boundBlocks(car, 1);
  const { root, blocks } = await readCarWithRoot(car);
  const { commit, data, did } = await Repo.load(new MemoryBlockstore(blocks), root);
  if (did !== claim.did) throw new Error(`the proof is of the repo ${did}`);
  if (!(await verifyCommitSig(commit, signingKey))) throw new Error("its signature is not the account's");
  const cid = await data.get(`${claim.collection}/${claim.rkey}`);
  if (!cid) return { rev: commit.rev, cid: null, record: null };
  const bytes = blocks.get(cid);
  const record = bytes ? toRecord(decode(bytes)) : undefined;
  return { rev: commit.rev, cid: cid.toString(), record: record ?? null };
}
