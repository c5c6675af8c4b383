import { safeFetchWrap } from "@atproto-labs/fetch-node";
import { pinning } from "./pinned.ts";

/** A fetch for URLs that come from outside. Call it with an explicit `redirect`. */
export type OutgoingFetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

export interface OutgoingOptions {
  /** Lets http, ports and private addresses through: for a developer's machine and a local atmosphere. @default false */
  allowPrivate?: boolean;
  /** @default 10_000 */
  timeoutMs?: number;
  /** @default 5 MiB */
  maxResponseBytes?: number;
}

/**
 * https only, no private addresses (checked where the connection is made, so a name cannot lie), bounded in time and
 * size; nothing is sent but what the caller gives.
 */
export function createOutgoingFetch(options: OutgoingOptions = {}): OutgoingFetch {
  const allow = options.allowPrivate ?? false;
  return safeFetchWrap({
    ...(allow ? {} : pinning()),
    ssrfProtection: !allow,
    allowHttp: allow,
    allowIpHost: allow,
    allowPrivateIps: allow,
    allowCustomPort: true,
    timeout: options.timeoutMs ?? 10_000,
    responseMaxSize: options.maxResponseBytes ?? 5 * 1024 * 1024,
  });
}
