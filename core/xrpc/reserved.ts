import { HttpError } from "../errors.ts";
import type { Caller } from "../http/caller.ts";

/** Methods that HappyView serves itself, with a session only (sync-and-xrpc §1.7, §4.7). */
const withSession =
  /^(app\.bsky\.actor\.getProfile|com\.atproto\.repo\.uploadBlob|dev\.happyview\.[A-Za-z]+(\.[A-Za-z]+)?)$/;
const spaces = /^dev\.happyview\.space\./;

/** True for an NSID that is the instance's own: no lexicon replaces it, and it is never forwarded to anybody. */
export function isReserved(nsid: string): boolean {
  return withSession.test(nsid) || spaces.test(nsid);
}

/** What such a method answers where no plugin serves it. */
export function reservedAnswer(nsid: string, caller: Caller): HttpError {
  if (spaces.test(nsid))
    return new HttpError(404, {
      error: "FeatureDisabled",
      message: "The feature 'feature.spaces_enabled' is not currently enabled on this instance",
    });
  const name = nsid.split(".").at(-1);
  if (caller.did === null) return new HttpError(401, `${name} requires DPoP authentication`);
  return new HttpError(501, `no plugin of this instance serves ${nsid}`);
}
