import { decode } from "@atproto/lex-cbor";
import { readCarWithRoot, verifyProofs } from "@atproto/repo";
import { explain } from "../../core/errors.ts";
import type { CommitEvent } from "../../core/index.ts";
import type { IdentityResolver } from "../../core/identity/resolve.ts";
import { boundBlocks } from "./car.ts";
import { isObject } from "./decode.ts";
import { createPatience } from "./patience.ts";
import { readRecord } from "./record.ts";
import type { RelayCommit, RelayOp } from "./relay-decode.ts";
import type { Status } from "./status.ts";

export interface Verified {
  events: CommitEvent[];
  /** Why operations were left out; one entry for the whole commit, or for each operation that it does not prove. */
  problems: string[];
}

export interface VerifierParts {
  identity: Pick<IdentityResolver, "resolve" | "forget">;
  /** Told of a directory that is away, and that it is back. */
  status: Pick<Status, "waiting" | "resumed">;
  /** Unix milliseconds. */
  now: () => number;
  /** In [0, 1); spreads retries. @default Math.random */
  random?: (() => number) | undefined;
}

/** Checks the operations of a commit that concern us. Never rejects; an abort ends it with nothing verified. */
export type Verifier = (
  commit: RelayCommit,
  ops: readonly RelayOp[],
  signal: AbortSignal,
) => Promise<Verified>;

const refreshEveryMs = 60_000;
const maxRemembered = 10_000;

/** A commit is believed when the key in its account's DID document signed it and its tree has (or no longer has) the records. */
export function createVerifier({ identity, status, now, random }: VerifierParts): Verifier {
  const refreshes = new Map<string, { at: number; key: Promise<string> }>();
  const patiently = createPatience({ status, now, random });

  async function keyOf(did: string): Promise<string> {
    const { signingKey } = await identity.resolve(did);
    if (signingKey) return signingKey;
    throw new Error(`the DID document of ${did} has no signing key`);
  }

  /**
   * The key as it is now: it may have changed since it was cached. Bad signatures must not turn into requests to the
   * directory, so commits that fail together, and within a minute, share one; a failure is not shared any longer.
   */
  function freshKeyOf(did: string): Promise<string> {
    const last = refreshes.get(did);
    if (last && now() - last.at < refreshEveryMs) return last.key;
    if (refreshes.size >= maxRemembered) refreshes.clear();
    const key = identity.forget(did).then(() => keyOf(did));
    refreshes.set(did, { at: now(), key });
    key.catch(() => {
      if (refreshes.get(did)?.key === key) refreshes.delete(did);
    });
    return key;
  }

  async function verifyWithRefresh(
    commit: RelayCommit,
    ops: readonly RelayOp[],
    signal: AbortSignal,
  ): Promise<Verified> {
    const { did } = commit;
    const known = await patiently(did, () => keyOf(did), signal);
    try {
      return await verify(commit, ops, known);
    } catch (error) {
      const fresh = await patiently(did, () => freshKeyOf(did), signal);
      if (fresh === known) throw error;
      return await verify(commit, ops, fresh);
    }
  }

  return (commit, ops, signal) =>
    verifyWithRefresh(commit, ops, signal).catch((error: unknown) => ({
      events: [],
      problems: [explain(error)],
    }));
}

async function verify(commit: RelayCommit, ops: readonly RelayOp[], key: string): Promise<Verified> {
  const { did, rev, blocks } = commit;
  boundBlocks(blocks, commit.ops.length);
  const claims = ops.map(({ collection, rkey, cid }) => ({ collection, rkey, cid }));
  const { verified } = await verifyProofs(blocks, claims, did, key);
  const proven = new Set(verified.map(({ collection, rkey }) => `${collection}/${rkey}`));
  // verifyProofs has checked each block against its CID.
  const car = await readCarWithRoot(blocks, { skipCidVerification: true });
  const signed = decode(car.blocks.get(car.root) ?? new Uint8Array());
  // The rev orders commits, so it must be the signed one and not what the frame says besides.
  if (!isObject(signed) || signed["rev"] !== rev)
    throw new Error("the frame has another rev than the commit");
  const result: Verified = { events: [], problems: [] };
  for (const op of ops) {
    const { action, collection, rkey, cid } = op;
    const event = {
      kind: "commit",
      action,
      did,
      collection,
      rkey,
      rev,
      cid: cid?.toString() ?? "",
      isVerified: true,
    } as const;
    const bytes = cid ? car.blocks.get(cid) : undefined;
    if (!proven.has(`${collection}/${rkey}`))
      result.problems.push(`the tree does not prove the ${action} of ${collection}/${rkey}`);
    else if (action === "delete") result.events.push(event);
    else if (!bytes) result.problems.push(`the block of ${collection}/${rkey} is missing`);
    else result.events.push({ ...event, record: readRecord(bytes) });
  }
  return result;
}
