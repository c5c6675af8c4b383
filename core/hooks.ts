import { createHooks, type Hookable } from "hookable";
import type { AppliedChange } from "./records/change.ts";
import type { LexiconChange } from "./lexicons/registry.ts";
import type { ResourceChange } from "./resources/kind.ts";
import type { LogEvent } from "./events.ts";
import type { HttpRequest } from "./http/request.ts";
import type { Caller } from "./http/caller.ts";

/** The moments that core announces. Listeners run one after another in plugin order. */
export interface AppHooks {
  /** Everything is set up and migrated; streams and timers may start. */
  "app:ready": () => void | Promise<void>;
  /** Records were written or removed and are durable. A listener that throws is logged, nothing is undone. */
  "record:after": (changes: readonly AppliedChange[]) => void | Promise<void>;
  /** An account's hosting status was folded into the index. */
  "account:changed": (account: {
    did: string;
    active: boolean;
    status?: string | undefined;
  }) => void | Promise<void>;
  /** A DID document or handle changed upstream; caches must forget it. */
  "identity:changed": (identity: { did: string; handle?: string | undefined }) => void | Promise<void>;
  /** A `com.atproto.lexicon.schema` record arrived (sync-and-xrpc §1.6). */
  "lexicon:published": (schema: {
    did: string;
    nsid: string;
    /** The commit's TID; empty when the source does not know it. */
    rev: string;
    /** Absent when it was deleted. */
    document: Record<string, unknown> | undefined;
  }) => void | Promise<void>;
  /** A lexicon was put or removed; it is served (or not) from now on. */
  "lexicon:changed": (change: LexiconChange) => void | Promise<void>;
  /** A resource of any kind was put or removed, by a file or an admin. */
  "resource:changed": (change: ResourceChange) => void | Promise<void>;
  /** Something worth an entry in the event log happened (admin-api §2.10). */
  event: (event: LogEvent) => void | Promise<void>;
  /** An XRPC request is about to be dispatched; throw an HttpError to refuse it. */
  request: (request: XrpcAdmission) => void | Promise<void>;
}

export interface XrpcAdmission {
  http: HttpRequest;
  caller: Caller;
  nsid: string;
  type: "query" | "procedure";
  /** As in the URL, without the `?`. */
  query: string;
  /** Set them, at any time until there is an answer, to have them on it, unless it is an error. */
  headers: Record<string, string> | undefined;
}

export type Hooks = Hookable<AppHooks>;

export function createAppHooks(): Hooks {
  return createHooks<AppHooks>();
}
