import type { Prng } from "./prng.ts";
import type { Reply, ServiceRequest } from "./service.ts";

export type ServiceName = "plc" | "pds" | "relay" | "jetstream" | "jetstream-v2" | "labeler" | "tap";

/** What a rule applies to; a field left out matches everything. */
export interface FaultMatch {
  service?: ServiceName;
  /** Index of the PDS. */
  host?: number;
  /** NSID of an XRPC method, `subscribe` on the Jetstream, `did` on the PLC directory. */
  method?: string;
  /** Repo or DID asked for; on a socket only this DID's events are dropped, duplicated or reordered. */
  did?: string;
  /** Collection asked for. */
  collection?: string;
}

/** A request as the rules see it. */
export interface FaultRequest extends Required<FaultMatch> {
  params: URLSearchParams;
  isSocket: boolean;
}

export interface FaultRule extends FaultMatch {
  /** Applies to the first n matching requests or connections. @default always */
  times?: number;
  /** Applies to this share (0 to 1) of matching requests, by seeded chance. @default 1 */
  share?: number;
  /** Wait before the answer: fixed, or seeded jitter. */
  latencyMs?: number | { min: number; max: number };
  /** Answer with this status, and for a socket refuse the upgrade with it. */
  status?: number;
  /** @example { "Retry-After": "1", "RateLimit-Reset": "1767225660" } */
  headers?: Record<string, string>;
  /** Announce the whole body, send this many bytes of it, and cut the connection. */
  truncateAfter?: number;
  /** Announce the whole body, send this many bytes of it, and nothing more. */
  stallAfter?: number;
  /** Answer with one byte of the body changed: the one at this offset. */
  damageAt?: number;
  /** Answer 200 with something that is not the JSON asked for. */
  wrongJson?: boolean;
  /** Answer 302 with this location. */
  redirect?: string;
  /** Answers with something else than the truth; `lies.ts` has some. */
  lie?: (truth: Reply, request: Pick<ServiceRequest, "params">) => Reply | Promise<Reply>;
  socket?: SocketFault;
}

export interface SocketFault {
  /** Cut the TCP connection after n events, without a close frame. */
  disconnectAfter?: number;
  /** Close with code 1000 after n events. */
  closeAfter?: number;
  /** After n events stay connected and silent; pings are not answered either. */
  stallAfter?: number;
  /** Share of events sent twice. */
  duplicate?: number;
  /** Share of events not sent. */
  drop?: number;
  /** Events are shuffled within windows of this size. */
  reorder?: number;
}

export interface Faults {
  /** Adds a rule; the result takes it away again. The first rule that matches wins. */
  add(rule: FaultRule): () => void;
  clear(): void;
  /** Hears of every request and connection; the result stops it. */
  watch(listener: (request: FaultRequest) => void): () => void;
  /** The rule for this request, counted as used, or undefined. */
  take(request: FaultRequest): FaultRule | undefined;
  latencyOf(rule: FaultRule): number;
}

export function createFaults(prng: Prng): Faults {
  let rules: { rule: FaultRule; left: number }[] = [];
  const listeners = new Set<(request: FaultRequest) => void>();
  return {
    add(rule) {
      const entry = { rule, left: rule.times ?? Number.POSITIVE_INFINITY };
      rules.push(entry);
      return () => {
        rules = rules.filter((other) => other !== entry);
      };
    },
    clear() {
      rules = [];
    },
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    take(request) {
      for (const listener of listeners) listener(request);
      for (const entry of rules) {
        if (entry.left <= 0 || !matches(entry.rule, request)) continue;
        if (entry.rule.share !== undefined && !prng.chance(entry.rule.share)) continue;
        entry.left--;
        return entry.rule;
      }
      return undefined;
    },
    latencyOf({ latencyMs = 0 }) {
      if (typeof latencyMs === "number") return latencyMs;
      return latencyMs.min + prng.int(latencyMs.max - latencyMs.min + 1);
    },
  };
}

function matches(rule: FaultRule, request: FaultRequest): boolean {
  return (
    (rule.socket === undefined || request.isSocket) &&
    (rule.service === undefined || rule.service === request.service) &&
    (rule.host === undefined || rule.host === request.host) &&
    (rule.method === undefined || rule.method === request.method) &&
    (rule.collection === undefined || rule.collection === request.collection) &&
    // A socket carries many DIDs: there the rule's DID selects events, not connections.
    (rule.did === undefined || rule.socket !== undefined || rule.did === request.did)
  );
}
