import type { IdentityResolver } from "../../core/identity/resolve.ts";

export interface LabelerIdentity {
  /** Without a slash at its end. */
  endpoint: string;
  /** The did:key that labels are signed with. */
  key: string;
}

/** Where labelers are and how they sign, by their DID documents. */
export interface LabelerIdentities {
  /** From the cache for an hour. @throws Error when the document cannot be had or names no labeler */
  resolve(did: string): Promise<LabelerIdentity>;
  /** Read anew, unless that was done a moment ago: what does not fit must not turn into a request each. */
  refresh(did: string): Promise<LabelerIdentity>;
}

const refreshEveryMs = 15_000;

export function createIdentities(
  identity: Pick<IdentityResolver, "resolve" | "forget">,
  now: () => number,
): LabelerIdentities {
  const refreshed = new Map<string, number>();

  async function resolve(did: string): Promise<LabelerIdentity> {
    const { services, keys } = await identity.resolve(did);
    const endpoint = services["atproto_labeler"] ?? services["atproto_pds"];
    const key = keys["atproto_label"];
    if (!endpoint || !/^https?:\/\//.test(endpoint))
      throw new Error(`the DID document of ${did} names no labeler and no PDS`);
    // No other key stands for it (label spec, signatures).
    if (!key) throw new Error(`the DID document of ${did} has no key #atproto_label to check labels with`);
    return { endpoint, key };
  }

  return {
    resolve,
    async refresh(did) {
      if (now() - (refreshed.get(did) ?? -Infinity) >= refreshEveryMs) {
        refreshed.set(did, now());
        await identity.forget(did);
      }
      return resolve(did);
    },
  };
}
