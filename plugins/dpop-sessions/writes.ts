import {
  HttpError,
  PdsAuthError,
  reply,
  type CommitEvent,
  type PluginApp,
  type Reply,
  type XrpcCall,
} from "../../core/index.ts";
import { isObject } from "../../core/lexicons/document.ts";
import type { Lexicon } from "../../core/lexicons/registry.ts";
import type { DpopAnswer } from "./dpop-fetch.ts";
import type { PdsCall } from "./pds.ts";

/** The repo that a write goes to. */
export interface Target {
  did: string;
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

/** How long an answer waits for the local index; the stream brings the record anyway. */
const indexWaitMs = 2000;

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
  const answer = await signedIn(() =>
    target.call({
      method: "POST",
      path: `com.atproto.repo.${write.method}`,
      contentType: "application/json",
      body: JSON.stringify(write.body),
    }),
  );
  if (answer.status >= 300) return passOn(answer);
  const rev = await index(write, answer, parts.app);
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

/**
 * Shows the write at once. It goes through the pipeline with the rev that the PDS gave it, so that the stream's echo of
 * it changes nothing; returns that rev.
 */
async function index(
  { method, body: { repo, collection, rkey, record } }: Write,
  answer: DpopAnswer,
  { records, log }: WriteParts["app"],
): Promise<string | undefined> {
  const written = readAnswer(answer.body);
  if (!written.rev) return undefined;
  const key = rkey ?? written.uri?.split("/").at(-1);
  if (key === undefined) return undefined;
  const event: CommitEvent = {
    kind: "commit",
    action: method === "deleteRecord" ? "delete" : method === "createRecord" ? "create" : "update",
    did: repo,
    collection,
    rkey: key,
    rev: written.rev,
    record,
    cid: written.cid ?? "",
  };
  const limit = new Promise<void>((resolve) => setTimeout(resolve, indexWaitMs).unref());
  await Promise.race([records.pipeline.ingestMany([event]), limit]).catch((error) =>
    log.warn("a write is not in the index yet; the stream brings it", { error: String(error) }),
  );
  return written.rev;
}

function readAnswer(body: string): { uri?: string; cid?: string; rev?: string } {
  try {
    const value: unknown = JSON.parse(body);
    if (!isObject(value)) return {};
    const commit = isObject(value["commit"]) ? value["commit"] : {};
    const text = (given: unknown): string | undefined => (typeof given === "string" ? given : undefined);
    const found = { uri: text(value["uri"]), cid: text(value["cid"]), rev: text(commit["rev"]) };
    return Object.fromEntries(Object.entries(found).filter(([, each]) => each !== undefined));
  } catch {
    return {};
  }
}

/** The PDS's own answer, as JSON (auth §0). */
export function passOn({ status, body }: DpopAnswer, headers: Record<string, string> = {}): Reply {
  return reply(status, body, { "content-type": "application/json", ...headers });
}

/** @throws HttpError 401 when the user must sign in again, 502 when the PDS cannot be reached */
export async function signedIn<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PdsAuthError) throw new HttpError(401, error.message);
    if (error instanceof HttpError) throw error;
    throw new HttpError(502, "the PDS cannot be reached");
  }
}
