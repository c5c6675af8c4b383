import {
  HttpError,
  PdsAuthError,
  reply,
  type PluginApp,
  type Reply,
  type XrpcCall,
} from "../../core/index.ts";
import { explain, isHappyViewError } from "../../core/errors.ts";
import { isObject } from "../../core/lexicons/document.ts";
import type { Lexicon } from "../../core/lexicons/registry.ts";
import { UnreachableError, type DpopAnswer } from "./dpop-fetch.ts";
import { indexWrites } from "./indexed.ts";
import type { PdsCall } from "./pds.ts";
import { repoWritesOf } from "./repo-writes.ts";

/** The repo that a write goes to. */
export interface Target {
  did: string;
  /** What the account has granted. */
  scopes: readonly string[];
  call(call: PdsCall): Promise<DpopAnswer>;
}

export interface WriteParts {
  app: Pick<PluginApp, "records" | "log">;
  /** @throws HttpError 401, 403 */
  target(call: XrpcCall, delegateDid: string | undefined): Promise<Target>;
}

interface Write {
  method: "createRecord" | "putRecord" | "deleteRecord";
  body: { repo: string; collection: string; rkey?: string; record?: Record<string, unknown> };
}

/** What a procedure without a script does: it writes to the caller's repo by its lexicon's action (sync-and-xrpc §4.6). */
export async function defaultProcedure(
  call: XrpcCall & { lexicon: Lexicon },
  parts: WriteParts,
): Promise<Reply> {
  const { lexicon } = call;
  const collection = lexicon.targetCollection;
  if (collection === null) throw new HttpError(400, `${lexicon.id} has no target_collection configured`);
  const input = isObject(call.input) ? call.input : {};
  const delegateDid = typeof input["delegateDid"] === "string" ? input["delegateDid"] : undefined;
  const target = await parts.target(call, delegateDid);
  const write = toWrite(lexicon.action ?? "upsert", input, target.did, collection);
  const answer = await signedIn(
    () =>
      target.call({
        method: "POST",
        path: `com.atproto.repo.${write.method}`,
        contentType: "application/json",
        body: JSON.stringify(write.body),
      }),
    parts.app,
  );
  if (answer.status >= 300) return passOn(answer);
  const rev = await indexWrites(
    target.did,
    repoWritesOf(`com.atproto.repo.${write.method}`, write.body),
    answer.body,
    parts.app,
  );
  return passOn(answer, rev === undefined ? {} : { "atproto-repo-rev": rev });
}

function toWrite(
  action: NonNullable<Lexicon["action"]> | "upsert",
  input: Record<string, unknown>,
  repo: string,
  collection: string,
): Write {
  const { shouldPublish: _, delegateDid: __, ...fields } = input;
  const isExisting =
    action === "update" || action === "delete" || (action === "upsert" && typeof fields["uri"] === "string");
  if (!isExisting)
    return { method: "createRecord", body: { repo, collection, record: { ...fields, $type: collection } } };
  const { uri, ...rest } = fields;
  if (typeof uri !== "string") throw new HttpError(400, "missing uri field");
  const rkey = uri.slice(uri.lastIndexOf("/") + 1);
  if (rkey === "") throw new HttpError(400, "the uri names no record");
  if (action === "delete") return { method: "deleteRecord", body: { repo, collection, rkey } };
  return { method: "putRecord", body: { repo, collection, rkey, record: { ...rest, $type: collection } } };
}

/** The PDS's own answer, as JSON (auth §0). */
export function passOn({ status, body }: DpopAnswer, headers: Record<string, string> = {}): Reply {
  return reply(status, body, { "content-type": "application/json", ...headers });
}

/**
 * Anything but silence of the PDS is ours to answer for, and stays what it is.
 * @throws HttpError 401 when the user must sign in again, 502 when the PDS cannot be reached
 */
export async function signedIn<T>(work: () => Promise<T>, { log }: Pick<PluginApp, "log">): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PdsAuthError) throw new HttpError(401, error.message);
    if (!isUnreachable(error)) throw error;
    log.warn("a PDS cannot be reached", { error: explain(error) });
    throw new HttpError(502, "the PDS cannot be reached");
  }
}

/** A PDS whose account's document cannot be had counts as one that is silent. */
function isUnreachable(error: unknown): boolean {
  if (isHappyViewError(error)) return error.code.startsWith("IDENTITY_");
  return error instanceof UnreachableError;
}
