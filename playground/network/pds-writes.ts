import type { Account, CommitResult } from "./account.ts";
import type { JsonRecord } from "./event.ts";
import { jsonReply, type Reply, type ServiceRequest } from "./service.ts";
import type { XrpcMethod } from "./xrpc.ts";
import { XrpcError } from "./xrpc-error.ts";

/**
 * `createRecord`, `putRecord` and `deleteRecord` for whoever names a DID of this host as bearer token:
 * enough to write a record with one curl, and no login to simulate.
 */
export function pdsWrites(find: (did: string) => Account | undefined): Record<string, XrpcMethod> {
  const write =
    (act: (account: Account, body: Record<string, unknown>) => Promise<Reply>): XrpcMethod =>
    async (request) => {
      const account = authenticate(find, request);
      const body = await request.json();
      if (find(text(body, "repo")) !== account) {
        throw new XrpcError(403, "InvalidRequest", "repo is not the account of the bearer token");
      }
      return act(account, body);
    };
  return {
    "com.atproto.repo.createRecord": write(async (account, body) => {
      const rkey = body["rkey"] === undefined ? undefined : text(body, "rkey");
      const { uri, cid, commit, rev } = await account.create(text(body, "collection"), record(body), rkey);
      return jsonReply({ uri, cid, commit: { cid: commit, rev }, validationStatus: "unknown" });
    }),
    "com.atproto.repo.putRecord": write(async (account, body) => {
      const { uri, cid, commit, rev } = await account.put(
        text(body, "collection"),
        text(body, "rkey"),
        record(body),
      );
      return jsonReply({ uri, cid, commit: { cid: commit, rev }, validationStatus: "unknown" });
    }),
    "com.atproto.repo.deleteRecord": write(async (account, body) => {
      const collection = text(body, "collection");
      const rkey = text(body, "rkey");
      // Deleting what is not there succeeds without a commit, as on the real PDS.
      if (!account.repo?.records.get(collection, rkey)) return jsonReply({});
      return jsonReply({ commit: commitOf(await account.delete(collection, rkey)) });
    }),
  };
}

function authenticate(find: (did: string) => Account | undefined, request: ServiceRequest): Account {
  const [scheme, did = ""] = (request.header("authorization") ?? "").split(" ");
  if (scheme !== "Bearer") throw new XrpcError(401, "AuthMissing", "send Authorization: Bearer <did>");
  const account = find(did);
  if (!account) throw new XrpcError(401, "InvalidToken", `${did} does not live on this host`);
  if (account.status === "active") return account;
  const name = account.status === "takendown" ? "AccountTakedown" : "AccountDeactivated";
  throw new XrpcError(401, name, `account is ${account.status}`);
}

function text(body: Record<string, unknown>, key: string): string {
  const value = body[key];
  if (typeof value === "string") return value;
  throw new XrpcError(400, "InvalidRequest", `Input must have the property "${key}"`);
}

function record(body: Record<string, unknown>): JsonRecord {
  const value = body["record"];
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new XrpcError(400, "InvalidRequest", `Input must have the property "record"`);
  }
  const fields: JsonRecord = { ...value };
  const type = fields["$type"];
  if (type !== undefined && type !== body["collection"]) {
    throw new XrpcError(
      400,
      "InvalidRequest",
      `Invalid $type: expected ${String(body["collection"])}, got ${String(type)}`,
    );
  }
  return fields;
}

function commitOf({ commit, rev }: CommitResult): { cid: string; rev: string } {
  return { cid: commit, rev };
}
