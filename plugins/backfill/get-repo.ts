import { decode } from "@atproto/lex-cbor";
import { lexToJson } from "@atproto/lex-json";
import { readCarStream, Repo, verifyCommitSig, BlockMap, MemoryBlockstore } from "@atproto/repo";
import type { CommitEvent } from "../../core/index.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import { isObject } from "../../core/lexicons/document.ts";
import { get, xrpcUrl } from "./answer.ts";
import { FetchError } from "./failure.ts";

export interface RepoExport {
  rev: string;
  /** Records of the wanted collections, in the order of their keys. */
  events(): AsyncGenerator<CommitEvent>;
}

/** A repo above this is listed page by page instead: its blocks are held in memory until its tree is walked. */
const maxRepoBytes = 256 * 1024 * 1024;

/** The repo is too large for this way; the caller lists it. */
export class RepoTooLarge extends Error {}

/**
 * `com.atproto.sync.getRepo`: each block is checked against its CID while it arrives, the commit against the account's
 * key, and the records against the commit's tree.
 */
export async function getRepo(
  fetch: OutgoingFetch,
  ask: { pds: string; did: string; collections: readonly string[]; signingKey: string },
  signal: AbortSignal,
): Promise<RepoExport> {
  const { pds, did, collections, signingKey } = ask;
  const response = await get(
    fetch,
    xrpcUrl(pds, "com.atproto.sync.getRepo", { did }),
    signal,
    "application/vnd.ipld.car",
  );
  const { root, blocks } = await readBlocks(response);
  const repo = await invalidUnless(did, "its commit or tree cannot be read", async () =>
    Repo.load(new MemoryBlockstore(blocks), root),
  );
  if (repo.did !== did || !(await verifyCommitSig(repo.commit, signingKey)))
    throw new FetchError("repo_invalid", `the export of ${did} is not signed by its account's key`);
  const { rev } = repo.commit;
  return {
    rev,
    async *events() {
      for (const collection of collections) {
        const leaves = await invalidUnless(did, "its tree has a hole", () =>
          repo.data.listWithPrefix(`${collection}/`),
        );
        for (const { key, value: cid } of leaves) {
          const bytes = blocks.get(cid);
          if (!bytes) throw new FetchError("repo_invalid", `the export of ${did} lacks the block of ${key}`);
          const record = lexToJson(decode(bytes));
          if (!isObject(record)) throw new FetchError("repo_invalid", `${key} of ${did} is no record`);
          const rkey = key.slice(collection.length + 1);
          yield {
            kind: "commit",
            action: "create",
            did,
            collection,
            rkey,
            rev,
            record,
            cid: cid.toString(),
            isVerified: true,
          };
        }
      }
    },
  };
}

async function readBlocks(
  response: Response,
): Promise<{ root: Parameters<typeof Repo.load>[1] & object; blocks: BlockMap }> {
  const body = response.body ?? [];
  const { roots, blocks: stream } = await readCarStream(body as AsyncIterable<Uint8Array>);
  const [root] = roots;
  if (!root) throw new FetchError("repo_invalid", "the export has no root");
  const blocks = new BlockMap();
  let size = 0;
  for await (const { cid, bytes } of stream) {
    size += bytes.length;
    if (size > maxRepoBytes) throw new RepoTooLarge(`the export has more than ${maxRepoBytes} bytes`);
    blocks.set(cid, bytes);
  }
  return { root, blocks };
}

async function invalidUnless<T>(did: string, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new FetchError("repo_invalid", `the export of ${did} is not usable: ${what}`, { cause });
  }
}
