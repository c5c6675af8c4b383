import { decode } from "@atproto/lex-cbor";
import { lexToJson } from "@atproto/lex-json";
import type { Cid } from "@atproto/lex-data";
import { readCarStream, Repo, verifyCommitSig, BlockMap, MemoryBlockstore } from "@atproto/repo";
import type { CommitEvent } from "../../core/index.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import { isObject } from "../../core/lexicons/document.ts";
import { get, xrpcUrl } from "./answer.ts";
import { FetchError, isTooLarge, toFailure } from "./failure.ts";
import { maxRecordBytes } from "./record-size.ts";
import { NoRoom, shareOf, type Room } from "./room.ts";
import { requireTree } from "./tree.ts";

export interface ExportedRecord {
  /** `<collection>/<rkey>` */
  key: string;
  /** Undefined for a record that is larger than any may be. */
  event: CommitEvent | undefined;
}

export interface RepoExport {
  rev: string;
  /** Records of the wanted collections, in the order of their keys. */
  records(): AsyncGenerator<ExportedRecord>;
  /** Nothing more is read of it: its memory is free. */
  release(): void;
}

/**
 * `com.atproto.sync.getRepo`: each block is checked against its CID while it arrives, the commit against the account's
 * key, and the records against the commit's tree. Its blocks are held in memory until its tree is walked. Undefined for
 * a repo for which there is no `room`, that is larger than what `fetch` reads, or that does not arrive in its time: such a
 * one is listed page by page.
 */
export async function getRepo(
  fetch: OutgoingFetch,
  ask: { pds: string; did: string; collections: readonly string[]; signingKey: string },
  room: Room,
  signal: AbortSignal,
): Promise<RepoExport | undefined> {
  const { pds, did } = ask;
  const url = xrpcUrl(pds, "com.atproto.sync.getRepo", { did });
  const share = shareOf(room, `the export of ${did}`);
  try {
    const response = await get(fetch, url, signal, "application/vnd.ipld.car");
    const { root, blocks } = await readBlocks(did, response, share.take);
    return { ...(await openExport(ask, root, blocks)), release: share.release };
  } catch (error) {
    const isSlow = share.bytes > 0 && !signal.aborted && toFailure(error).kind === "timeout";
    share.release();
    if (error instanceof NoRoom || isTooLarge(error) || isSlow) return undefined;
    throw error;
  }
}

/** What a block costs in memory beside its bytes: an export may be made of nothing but tiny ones. */
const blockOverhead = 512;

async function openExport(
  { did, collections, signingKey }: { did: string; collections: readonly string[]; signingKey: string },
  root: Cid,
  blocks: BlockMap,
): Promise<Omit<RepoExport, "release">> {
  const repo = await invalidUnless(did, "its commit or tree cannot be read", async () =>
    Repo.load(new MemoryBlockstore(blocks), root),
  );
  if (repo.did !== did || !(await verifyCommitSig(repo.commit, signingKey)))
    throw new FetchError("repo_invalid", `the export of ${did} is not signed by its account's key`);
  await invalidUnless(did, "its tree cannot be read", () => requireTree(did, repo.commit.data, blocks));
  const { rev } = repo.commit;
  return {
    rev,
    async *records() {
      for (const collection of collections) {
        const leaves = await invalidUnless(did, "its tree has a hole", () =>
          repo.data.listWithPrefix(`${collection}/`),
        );
        for (const { key, value: cid } of leaves) {
          const bytes = blocks.get(cid);
          if (!bytes) throw new FetchError("repo_invalid", `the export of ${did} lacks the block of ${key}`);
          if (bytes.length > maxRecordBytes) {
            yield { key, event: undefined };
            continue;
          }
          const record = lexToJson(decode(bytes));
          if (!isObject(record)) throw new FetchError("repo_invalid", `${key} of ${did} is no record`);
          const rkey = key.slice(collection.length + 1);
          const event: CommitEvent = {
            kind: "commit",
            action: "create",
            did,
            collection,
            rkey,
            rev,
            record,
            cid: cid.toString(),
            isVerified: true,
            isSnapshot: true,
          };
          yield { key, event };
        }
      }
    },
  };
}

async function readBlocks(
  did: string,
  response: Response,
  take: (bytes: number) => void,
): Promise<{ root: Cid; blocks: BlockMap }> {
  const blocks = new BlockMap();
  try {
    const { roots, blocks: stream } = await readCarStream((response.body ?? []) as AsyncIterable<Uint8Array>);
    for await (const { cid, bytes } of stream) {
      take(bytes.length + blockOverhead);
      blocks.set(cid, bytes);
    }
    const [root] = roots;
    if (root) return { root, blocks };
  } catch (cause) {
    // What breaks off is the network's trouble; what is complete and wrong is the host's.
    if (cause instanceof NoRoom || toFailure(cause).kind !== "other") throw cause;
    throw new FetchError("repo_invalid", `the export of ${did} is not usable`, { cause });
  }
  throw new FetchError("repo_invalid", `the export of ${did} has no root`);
}

async function invalidUnless<T>(did: string, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new FetchError("repo_invalid", `the export of ${did} is not usable: ${what}`, { cause });
  }
}
