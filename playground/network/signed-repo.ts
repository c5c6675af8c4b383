import type { Keypair } from "@atproto/crypto";
import { encode } from "@atproto/lex-cbor";
import { type Cid, cidForCbor, type LexMap } from "@atproto/lex-data";
import {
  BlockMap,
  blocksToCarFile,
  CidSet,
  type CommitData,
  def,
  getFullRepo,
  getRecords,
  MemoryBlockstore,
  parseObjByDef,
  type RecordWriteOp,
  Repo,
  signCommit,
} from "@atproto/repo";
import { RecordIndex } from "./record-index.ts";

/** A commit as the streams announce it. */
export interface RepoCommit {
  cid: Cid;
  rev: string;
  since: string | null;
  prevData: Cid | null;
  /** CAR of the changed records and the tree nodes that prove them. */
  blocks: Uint8Array;
  /** CAR of the commit object alone, for `#sync`. */
  head: Uint8Array;
  ops: RepoOp[];
}

export interface RepoOp {
  action: "create" | "update" | "delete";
  collection: string;
  rkey: string;
  cid: Cid | null;
  prev: Cid | null;
  record: LexMap | null;
}

/** The drafts of `@atproto/repo` are thrown away (see commit): no need to sign them. */
const draftKeypair: Keypair = {
  jwtAlg: "ES256K",
  did: () => "did:key:draft",
  sign: async () => new Uint8Array(64),
};

/** A repo in memory, signed by its account's key, whose revs come from the simulator's clock. */
export class SignedRepo {
  readonly records: RecordIndex = new RecordIndex();
  readonly #storage: MemoryBlockstore;
  readonly #keypair: Keypair;
  #repo: Repo;

  private constructor(repo: Repo, storage: MemoryBlockstore, keypair: Keypair) {
    this.#repo = repo;
    this.#storage = storage;
    this.#keypair = keypair;
  }

  /** A new repo, with the empty commit that announces it. */
  static async create(
    did: string,
    keypair: Keypair,
    rev: string,
  ): Promise<{ repo: SignedRepo; commit: RepoCommit }> {
    const storage = new MemoryBlockstore();
    const init = await Repo.formatInitCommit(storage, did, keypair, [], rev);
    const repo = await Repo.createFromCommit(storage, init);
    const signed = new SignedRepo(repo, storage, keypair);
    return { repo: signed, commit: await signed.#announce(init, null, []) };
  }

  get head(): Cid {
    return this.#repo.cid;
  }

  get rev(): string {
    return this.#repo.commit.rev;
  }

  async commit(writes: RecordWriteOp[], rev: string): Promise<RepoCommit> {
    const prevData = this.#repo.commit.data;
    const draft = await this.#repo.formatCommit(writes, draftKeypair);
    const commit = await this.#sign(draft, rev);
    const ops = await Promise.all(writes.map((write) => this.#toOp(write)));
    for (const op of ops) this.records.apply(op);
    commit.removedCids = this.#unreferenced(commit.removedCids);
    this.#repo = await this.#repo.applyCommit(commit);
    return this.#announce(commit, prevData, ops);
  }

  /** CAR of the whole repo. */
  export(): Promise<Uint8Array> {
    return collect(getFullRepo(this.#storage, this.head));
  }

  /** CAR that proves one record's presence or absence. */
  proof(collection: RecordWriteOp["collection"], rkey: RecordWriteOp["rkey"]): Promise<Uint8Array> {
    return collect(getRecords(this.#storage, this.head, [{ collection, rkey }]));
  }

  /** CAR of the commit object alone. */
  async headCar(): Promise<Uint8Array> {
    const bytes = await this.#storage.getBytes(this.head);
    return toCar(this.head, bytes ?? new Uint8Array());
  }

  /** `@atproto/repo` takes revs from the system clock; this puts ours into the draft and signs it. */
  async #sign(draft: CommitData, rev: string): Promise<CommitData> {
    const draftBytes = draft.newBlocks.get(draft.cid);
    if (!draftBytes) throw new Error("[network] @atproto/repo made a commit without its own block");
    const { obj } = await parseObjByDef(draftBytes, draft.cid, def.commit);
    const commit = await signCommit(
      { did: obj.did, version: 3, rev, prev: null, data: obj.data },
      this.#keypair,
    );
    const bytes = encode(commit);
    const cid = await cidForCbor(bytes);
    for (const blocks of [draft.newBlocks, draft.relevantBlocks]) {
      blocks.delete(draft.cid);
      blocks.set(cid, bytes);
    }
    return { ...draft, cid, rev };
  }

  async #toOp(write: RecordWriteOp): Promise<RepoOp> {
    const { action, collection, rkey } = write;
    const prev = this.records.get(collection, rkey)?.cid ?? null;
    if (action === "delete") return { action, collection, rkey, cid: null, prev, record: null };
    const cid = await cidForCbor(encode(write.record));
    return { action, collection, rkey, cid, prev, record: write.record };
  }

  /** Two records with the same content are one block: it goes when the last of them goes. */
  #unreferenced(removed: CidSet): CidSet {
    return new CidSet(removed.toList().filter((cid) => !this.records.hasCid(cid)));
  }

  async #announce(commit: CommitData, prevData: Cid | null, ops: RepoOp[]): Promise<RepoCommit> {
    const blocks = await blocksToCarFile(commit.cid, commit.relevantBlocks);
    const head = await this.headCar();
    return { cid: commit.cid, rev: commit.rev, since: commit.since, prevData, blocks, head, ops };
  }
}

function toCar(root: Cid, bytes: Uint8Array): Promise<Uint8Array> {
  const blocks = new BlockMap();
  blocks.set(root, bytes);
  return blocksToCarFile(root, blocks);
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}
