import type { Events } from "../../core/events.ts";
import type { IdentityResolver } from "../../core/identity/resolve.ts";
import type { SourceEvent } from "../../core/index.ts";
import { lexiconSchema } from "./filter.ts";
import type { RelayCommit, RelayMessage } from "./relay-decode.ts";
import { createVerifier } from "./relay-verify.ts";
import type { Status } from "./status.ts";
import type { UnverifiedReports } from "./unverified.ts";

export interface RelayEventsParts {
  isTracked: (collection: string) => boolean;
  /** Whether the index has records of a repo. */
  isIndexed: (did: string) => Promise<boolean>;
  /** Has a repo read anew, when somebody can; resolves when that is certain. */
  resync: ((did: string) => Promise<void>) | undefined;
  identity: Pick<IdentityResolver, "resolve" | "forget">;
  events: Events;
  unverified: Pick<UnverifiedReports, "add">;
  status: Status;
  /** Unix milliseconds. */
  now: () => number;
  /** In [0, 1); spreads retries. @default Math.random */
  random?: (() => number) | undefined;
}

/** What the messages of a relay mean to the index. */
export interface RelayEvents {
  /** The events of a message that are ours; a promise where signatures must be checked. Never rejects. */
  eventsOf(message: RelayMessage, signal: AbortSignal): SourceEvent[] | Promise<SourceEvent[]>;
  /** The document of a did:web is on the host that its account names, which may be silent for as long as it likes. */
  isOfStranger(message: RelayMessage): message is RelayCommit;
  /** Reports a commit that is left out. */
  drop(commit: RelayCommit, problems: readonly string[]): void;
}

const tellEveryMs = 60_000;
const maxTold = 10_000;

export function createRelayEvents(parts: RelayEventsParts): RelayEvents {
  const { status, events } = parts;
  const verify = createVerifier(parts);
  const toldAt = new Map<string, number>();
  const concerns = (collection: string): boolean =>
    collection === lexiconSchema || parts.isTracked(collection);

  function eventsOf(message: RelayMessage, signal: AbortSignal): SourceEvent[] | Promise<SourceEvent[]> {
    if (message.kind === "identity") return changedIdentity(message);
    if (message.kind === "account") {
      const { seq: _seq, timeUs: _timeUs, ...event } = message;
      return [event];
    }
    if (message.kind === "sync") return desynchronized(message, "the repo was reset");
    if (message.kind !== "commit") return [];
    if (message.tooBig) return desynchronized(message, "a commit too big for the stream");
    const ops = message.ops.filter(({ collection }) => concerns(collection));
    if (ops.length === 0) return [];
    return verify(message, ops, signal).then(({ events: verified, problems }) => {
      for (const { collection } of verified) status.verified(collection, "signature");
      if (problems.length > 0 && !signal.aborted) drop(message, problems);
      return verified;
    });
  }

  function drop({ did, rev, seq }: RelayCommit, problems: readonly string[]): void {
    status.dropped("unverified");
    parts.unverified.add({ did, rev, seq, problems });
  }

  function isOfStranger(message: RelayMessage): message is RelayCommit {
    if (message.kind !== "commit" || message.did.startsWith("did:plc:") || message.tooBig) return false;
    return message.ops.some(({ collection }) => concerns(collection));
  }

  /** The commits behind it may be signed by another key: the one that is known must not stand for it any longer. */
  async function changedIdentity({ did, handle }: { did: string; handle?: string }): Promise<SourceEvent[]> {
    await parts.identity.forget(did).catch(() => undefined);
    return [{ kind: "identity", did, handle }];
  }

  /** What we have of the repo may differ from now on; the repos of the network that are not ours are no news. */
  async function desynchronized({ did, rev }: { did: string; rev: string }, reason: string): Promise<[]> {
    if (!(await parts.isIndexed(did).catch(() => true))) return [];
    if (isNews(did))
      events.emit({ type: "repo.desynchronized", severity: "warn", subject: did, detail: { rev, reason } });
    await parts.resync?.(did);
    return [];
  }

  /** Once a minute for each repo: an entry is a row, and whoever has a repo can reset it all day. */
  function isNews(did: string): boolean {
    const now = parts.now();
    if (now - (toldAt.get(did) ?? -Infinity) < tellEveryMs) return false;
    if (toldAt.size >= maxTold) toldAt.clear();
    toldAt.set(did, now);
    return true;
  }

  return { eventsOf, isOfStranger, drop };
}
