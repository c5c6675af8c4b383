import { isValidNsid, isValidRecordKey } from "@atproto/syntax";
import type { Account } from "./account.ts";
import type { Directory } from "./directory.ts";
import type { Faults } from "./faults.ts";
import { pdsWrites } from "./pds-writes.ts";
import { didDocument } from "./plc.ts";
import { jsonReply, type Reply, type Service, startService } from "./service.ts";
import type { SignedRepo } from "./signed-repo.ts";
import { answerXrpc, carReply, limitParam, pageByDid, requiredParam, type XrpcMethod } from "./xrpc.ts";
import { XrpcError } from "./xrpc-error.ts";

/** The host `index`: answers only for the accounts that live on it. */
export function startPds(
  directory: Directory,
  { index, ...options }: { index: number; faults: Faults; port?: number },
): Promise<Service> {
  const here = (name: string): Account | undefined => {
    const account = directory.find(name);
    return account?.pds.index === index ? account : undefined;
  };
  const queries = {
    ...repoQueries(here),
    ...syncQueries(here, directory, index),
    ...serverQueries(directory),
  };
  return startService({
    ...options,
    name: "pds",
    host: index,
    answer: answerXrpc({ queries, procedures: pdsWrites(here) }),
  });
}

type Find = (didOrHandle: string) => Account | undefined;

function repoQueries(find: Find): Record<string, XrpcMethod> {
  return {
    "com.atproto.repo.describeRepo": ({ params }) => {
      const { account, repo } = activeRepo(find, requiredParam(params, "repo"));
      const { did, handle } = account;
      const collections = repo.records.collections();
      return jsonReply({ handle, did, didDoc: didDocument(account), collections, handleIsCorrect: true });
    },
    "com.atproto.repo.getRecord": ({ params }) => {
      const { account, repo } = activeRepo(find, requiredParam(params, "repo"));
      const path = `${requiredParam(params, "collection")}/${requiredParam(params, "rkey")}`;
      const [collection = "", rkey = ""] = path.split("/");
      const record = repo.records.get(collection, rkey);
      const uri = `at://${account.did}/${path}`;
      const cid = record?.cid.toString();
      if (!record || (params.has("cid") && params.get("cid") !== cid)) {
        throw new XrpcError(400, "RecordNotFound", `Could not locate record: ${uri}`);
      }
      return jsonReply({ uri, cid, value: record.value });
    },
    "com.atproto.repo.listRecords": ({ params }) => listRecords(find, params),
  };
}

function listRecords(find: Find, params: URLSearchParams): Reply {
  const { account, repo } = activeRepo(find, requiredParam(params, "repo"));
  const collection = requiredParam(params, "collection");
  if (!isValidNsid(collection))
    throw new XrpcError(400, "InvalidRequest", "Error: collection must be a valid nsid");
  const after = params.get("cursor") ?? undefined;
  const reverse = params.get("reverse") === "true";
  const keys = repo.records.keys(collection, {
    ...(after === undefined ? {} : { after }),
    limit: limitParam(params, 50, 100),
    reverse,
  });
  const records = keys.flatMap((rkey) => {
    const record = repo.records.get(collection, rkey);
    const uri = `at://${account.did}/${collection}/${rkey}`;
    return record ? [{ uri, cid: record.cid.toString(), value: record.value }] : [];
  });
  // As on the real PDS the last page has a cursor too, and the page after it is empty.
  return jsonReply({ records, cursor: keys.at(-1) });
}

function syncQueries(find: Find, directory: Directory, index: number): Record<string, XrpcMethod> {
  return {
    "com.atproto.sync.getRepo": async ({ params }) => carReply(await availableRepo(find, params).export()),
    "com.atproto.sync.getRecord": async ({ params }) => {
      const collection = requiredParam(params, "collection");
      const rkey = requiredParam(params, "rkey");
      if (!isValidNsid(collection) || !isValidRecordKey(rkey)) {
        throw new XrpcError(400, "InvalidRequest", `not a record path: ${collection}/${rkey}`);
      }
      return carReply(await availableRepo(find, params).proof(collection, rkey));
    },
    "com.atproto.sync.getLatestCommit": ({ params }) => {
      const { head, rev } = availableRepo(find, params);
      return jsonReply({ cid: head.toString(), rev });
    },
    "com.atproto.sync.getRepoStatus": ({ params }) =>
      jsonReply(repoStatus(existing(find, requiredParam(params, "did")))),
    "com.atproto.sync.listRepos": ({ params }) => {
      const accounts = directory.sorted().filter(({ pds }) => pds.index === index);
      return jsonReply(listRepos(accounts, params));
    },
  };
}

function serverQueries(directory: Directory): Record<string, XrpcMethod> {
  return {
    "com.atproto.identity.resolveHandle": ({ params }) => {
      const handle = requiredParam(params, "handle");
      const account = handle.startsWith("did:") ? undefined : directory.find(handle);
      if (!account) throw new XrpcError(400, "HandleNotFound", "Unable to resolve handle");
      return jsonReply({ did: account.did });
    },
    "com.atproto.server.describeServer": () =>
      jsonReply({ did: "did:web:localhost", availableUserDomains: [".test"], inviteCodeRequired: false }),
  };
}

/** `com.atproto.sync.listRepos` of a PDS and of the relay. */
export function listRepos(
  accounts: Account[],
  params: URLSearchParams,
): { repos: unknown[]; cursor?: string } {
  const { page, ...cursor } = pageByDid(
    accounts.filter(({ repo }) => repo),
    params,
    1000,
  );
  const repos = page.map((account) => ({
    head: account.repo?.head.toString(),
    ...repoStatus(account),
    rev: account.repo?.rev,
  }));
  return { repos, ...cursor };
}

export function repoStatus({ did, status, repo }: Account): Record<string, unknown> {
  if (status === "active") return { did, active: true, rev: repo?.rev };
  return { did, active: false, status };
}

/** `com.atproto.repo.*` does not tell an unavailable repo from an unknown one. */
function activeRepo(find: Find, name: string): { account: Account; repo: SignedRepo } {
  const account = find(name);
  if (!account?.repo || account.status !== "active") {
    throw new XrpcError(400, "InvalidRequest", `Could not find repo: ${name}`);
  }
  return { account, repo: account.repo };
}

/** `com.atproto.sync.*` says why. */
function availableRepo(find: Find, params: URLSearchParams): SignedRepo {
  const { did, repo, status } = existing(find, requiredParam(params, "did"));
  if (!repo) throw new XrpcError(400, "RepoNotFound", `Could not find repo for DID: ${did}`);
  if (status === "active") return repo;
  const name = {
    takendown: "RepoTakendown",
    suspended: "RepoSuspended",
    deactivated: "RepoDeactivated",
    deleted: "RepoNotFound",
  }[status];
  throw new XrpcError(400, name, `Repo has been ${status}: ${did}`);
}

function existing(find: Find, did: string): Account {
  const account = find(did);
  if (!account) throw new XrpcError(400, "RepoNotFound", `Could not find repo for DID: ${did}`);
  return account;
}
