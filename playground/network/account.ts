import type { Keypair } from "@atproto/crypto";
import { type RecordWriteOp, WriteOpAction } from "@atproto/repo";
import { isValidNsid, isValidRecordKey } from "@atproto/syntax";
import { type NetworkClock, tidAt } from "./clock.ts";
import type { AccountStatus, JetstreamAccount, JetstreamIdentity, JsonRecord } from "./event.ts";
import type { Queue } from "./queue.ts";
import { toLexRecord } from "./record.ts";
import type { Sequencer } from "./sequencer.ts";
import { type RepoCommit, SignedRepo } from "./signed-repo.ts";
import { XrpcError } from "./xrpc-error.ts";

export type Write =
  | { action: "create"; collection: string; rkey?: string; record: JsonRecord }
  | { action: "update" | "put"; collection: string; rkey: string; record: JsonRecord }
  | { action: "delete"; collection: string; rkey: string };

export interface WriteResult {
  uri: string;
  /** Absent on delete. */
  cid?: string;
}

export interface CommitResult {
  rev: string;
  /** CID of the commit. */
  commit: string;
  results: WriteResult[];
}

export interface RecordResult extends WriteResult {
  cid: string;
  rev: string;
  commit: string;
}

export interface AccountParts {
  did: string;
  handle: string;
  keypair: Keypair;
  pds: { url: string; index: number };
  /** The low bits of this account's TIDs. */
  clockId: number;
  clock: NetworkClock;
  sequencer: Sequencer;
  /** One queue for the whole network: the order of calls is the order of events. */
  inOrder: Queue;
}

/** Where an account labels from, and the did:key that it signs labels with. */
export interface LabelerAnnouncement {
  url: string;
  key: string;
}

/** An account with a really signed repo. What it does is announced by the relay and the Jetstream. */
export class Account {
  readonly did: string;
  readonly keypair: Keypair;
  readonly #parts: AccountParts;
  #pds: { url: string; index: number };
  #handle: string;
  #status: AccountStatus = "active";
  #repo: SignedRepo | undefined;
  #labeler: LabelerAnnouncement | undefined;

  private constructor(parts: AccountParts) {
    this.did = parts.did;
    this.keypair = parts.keypair;
    this.#pds = parts.pds;
    this.#parts = parts;
    this.#handle = parts.handle;
  }

  /** A new account with an empty repo. Call it inside the network's queue. */
  static async open(parts: AccountParts): Promise<Account> {
    const account = new Account(parts);
    parts.sequencer.identity(parts.did, parts.handle);
    parts.sequencer.account(parts.did, "active");
    await account.#initRepo();
    return account;
  }

  get handle(): string {
    return this.#handle;
  }

  get pds(): { url: string; index: number } {
    return this.#pds;
  }

  get status(): AccountStatus {
    return this.#status;
  }

  /** Undefined once the account is deleted. */
  get repo(): SignedRepo | undefined {
    return this.#repo;
  }

  /** Undefined for an account that does not label. */
  get labeler(): LabelerAnnouncement | undefined {
    return this.#labeler;
  }

  /** The DID document names the service and the key from now on; undefined takes them out of it. */
  announceLabeler(labeler: LabelerAnnouncement | undefined): void {
    this.#labeler = labeler;
  }

  /** Without rkey the key is a TID; a missing `$type` is filled in, as a PDS does. */
  async create(collection: string, record: JsonRecord, rkey?: string): Promise<RecordResult> {
    return onlyRecord(
      await this.applyWrites([
        { action: "create", collection, record, ...(rkey === undefined ? {} : { rkey }) },
      ]),
    );
  }

  /** Creates or updates. */
  async put(collection: string, rkey: string, record: JsonRecord): Promise<RecordResult> {
    return onlyRecord(await this.applyWrites([{ action: "put", collection, rkey, record }]));
  }

  delete(collection: string, rkey: string): Promise<CommitResult> {
    return this.applyWrites([{ action: "delete", collection, rkey }]);
  }

  /** One commit with all these writes. Works for any status but `deleted`: consumers must cope with that order too. */
  applyWrites(writes: Write[]): Promise<CommitResult> {
    return this.#parts.inOrder(async () => {
      const repo = this.#existingRepo();
      const ops = writes.map((write) => this.#toOp(repo, write));
      if (new Set(ops.map(({ collection, rkey }) => `${collection}/${rkey}`)).size < ops.length) {
        throw new XrpcError(400, "InvalidRequest", "one commit can write a record only once");
      }
      const commit = await repo.commit(ops, this.#nextTid());
      this.#parts.sequencer.commit(this.did, commit);
      return this.#toResult(commit);
    });
  }

  /** `deleted` takes the repo away for good: `active` after it starts a new, empty one. */
  setStatus(status: AccountStatus): Promise<JetstreamAccount> {
    return this.#parts.inOrder(async () => {
      this.#status = status;
      if (status === "deleted") this.#repo = undefined;
      const event = this.#parts.sequencer.account(this.did, status);
      if (status !== "deleted" && !this.#repo) await this.#initRepo();
      return event;
    });
  }

  setHandle(handle: string): Promise<JetstreamIdentity> {
    return this.#parts.inOrder(async () => {
      this.#handle = handle;
      return this.#parts.sequencer.identity(this.did, handle);
    });
  }

  /** Lives on another host from now on: the one that it leaves knows nothing of it any more. */
  moveTo(pds: { url: string; index: number }): Promise<JetstreamIdentity> {
    return this.#parts.inOrder(async () => {
      this.#pds = pds;
      return this.#parts.sequencer.identity(this.did, this.#handle);
    });
  }

  /** Announces the repo's present state with `#sync`, as a host does after a repair. */
  sync(): Promise<{ rev: string }> {
    return this.#parts.inOrder(async () => {
      const repo = this.#existingRepo();
      this.#parts.sequencer.sync(this.did, { rev: repo.rev, head: await repo.headCar() });
      return { rev: repo.rev };
    });
  }

  async #initRepo(): Promise<void> {
    const { repo, commit } = await SignedRepo.create(this.did, this.keypair, this.#nextTid());
    this.#repo = repo;
    this.#parts.sequencer.sync(this.did, commit);
  }

  #existingRepo(): SignedRepo {
    if (!this.#repo)
      throw new XrpcError(
        400,
        "RepoNotFound",
        `${this.did} is deleted: setStatus("active") gives it a new repo`,
      );
    return this.#repo;
  }

  #nextTid(): string {
    return tidAt(this.#parts.clock.micros(), this.#parts.clockId);
  }

  #toOp(repo: SignedRepo, write: Write): RecordWriteOp {
    const { collection } = write;
    const rkey = write.rkey ?? this.#nextTid();
    if (!isValidNsid(collection))
      throw new XrpcError(400, "InvalidRequest", `collection is no NSID: ${collection}`);
    if (!isValidRecordKey(rkey)) throw new XrpcError(400, "InvalidRequest", `not a record key: ${rkey}`);
    const exists = repo.records.get(collection, rkey) !== undefined;
    if (write.action !== "put" && exists === (write.action === "create")) {
      const problem = exists ? "Record already exists" : "Could not locate record";
      throw new XrpcError(400, "InvalidRequest", `${problem}: at://${this.did}/${collection}/${rkey}`);
    }
    if (write.action === "delete") return { action: WriteOpAction.Delete, collection, rkey };
    const action = exists ? WriteOpAction.Update : WriteOpAction.Create;
    return { action, collection, rkey, record: toLexRecord({ $type: collection, ...write.record }) };
  }

  #toResult({ rev, cid, ops }: RepoCommit): CommitResult {
    const results = ops.map((op) => ({
      uri: `at://${this.did}/${op.collection}/${op.rkey}`,
      ...(op.cid ? { cid: op.cid.toString() } : {}),
    }));
    return { rev, commit: cid.toString(), results };
  }
}

function onlyRecord({ rev, commit, results }: CommitResult): RecordResult {
  const { uri = "", cid = "" } = results[0] ?? {};
  return { uri, cid, rev, commit };
}
