import type { LexMap } from "@atproto/lex-data";
import { ErrorFrame, MessageFrame } from "@atproto/xrpc-server";
import type { AccountStatus } from "./event.ts";
import type { RepoCommit } from "./signed-repo.ts";

/** What every message of a relay carries. */
interface Envelope {
  seq: number;
  did: string;
  time: string;
}

export function commitFrame({ seq, did, time }: Envelope, commit: RepoCommit): Buffer {
  const ops = commit.ops.map(({ action, collection, rkey, cid, prev }) => ({
    action,
    path: `${collection}/${rkey}`,
    cid,
    // Optional in the lexicon and never null: a create has no previous version.
    ...(prev ? { prev } : {}),
  }));
  return encode("#commit", {
    seq,
    repo: did,
    time,
    rebase: false,
    tooBig: false,
    commit: commit.cid,
    rev: commit.rev,
    since: commit.since,
    blocks: commit.blocks,
    ops,
    blobs: [],
    ...(commit.prevData ? { prevData: commit.prevData } : {}),
  });
}

export function syncFrame(envelope: Envelope, { rev, head }: Pick<RepoCommit, "rev" | "head">): Buffer {
  return encode("#sync", { ...envelope, rev, blocks: head });
}

export function identityFrame(envelope: Envelope, handle: string): Buffer {
  return encode("#identity", { ...envelope, handle });
}

export function accountFrame(envelope: Envelope, status: AccountStatus): Buffer {
  return encode("#account", {
    ...envelope,
    active: status === "active",
    ...(status === "active" ? {} : { status }),
  });
}

/** A message of `com.atproto.label.subscribeLabels`. */
export function labelsFrame(seq: number, labels: readonly LexMap[]): Buffer {
  return encode("#labels", { seq, labels: [...labels] });
}

export function infoFrame(name: string, message: string): Buffer {
  return encode("#info", { name, message });
}

export function errorFrame(error: string, message: string): Buffer {
  return Buffer.from(new ErrorFrame({ error, message }).toBytes());
}

function encode(type: string, body: LexMap): Buffer {
  return Buffer.from(new MessageFrame(body, { type }).toBytes());
}
