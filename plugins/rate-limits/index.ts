import type { Storage } from "unstorage";
import { definePlugin, HttpError, type AppHooks } from "../../core/index.ts";
import type { RouteContext } from "../../core/http/router.ts";
import { apiClients } from "../api-clients/index.ts";
import { clientAddress, networkOf } from "./address.ts";
import type { Charge, Limit } from "./bucket.ts";
import { inMemory, shared } from "./buckets.ts";

export interface RateLimitsOptions {
  /** Where the buckets are kept, to share them between processes: an unstorage storage, as of its redis driver. @default memory */
  storage?: Storage;
  /** A bucket for each address (of IPv6, for each /64) of callers without a client key; false leaves them unlimited. @default false */
  anonymous?: Limit | false;
  /** Addresses or networks of proxies whose `X-Forwarded-For` is believed. @default none */
  trustedProxies?: readonly string[];
}

/** What plugins get that serve clients outside of /xrpc. */
export interface RateLimitsApi {
  /** Takes one from the bucket of a request's client or address; the headers for its answer. @throws HttpError 429 */
  charge(context: Pick<RouteContext, "request" | "query">): Promise<Record<string, string>>;
}

type Admission = Parameters<AppHooks["request"]>[0];

type Asking = Pick<Admission, "http" | "query"> & Partial<Pick<Admission, "caller">>;

interface Bucket {
  name: string;
  limit: Limit;
}

const costs = {
  query: "rate_limit.default_query_cost",
  procedure: "rate_limit.default_procedure_cost",
  proxy: "rate_limit.default_proxy_cost",
} as const;

/**
 * A token bucket for each API client (sync-and-xrpc §4.3): its own limit, or the instance's. New and edited clients have
 * theirs at once.
 * @example plugins: [apiClients(), rateLimits({ anonymous: { capacity: 60, refillRate: 1 } })]
 */
export const rateLimits = definePlugin({
  name: "rate-limits",
  needs: { clients: apiClients },
  async setup(app, options: RateLimitsOptions, { clients }): Promise<RateLimitsApi> {
    for (const key of Object.values(costs)) {
      app.settings.define({ key });
      if (app.settings.get(key) === undefined) await app.settings.put(key, "1"); // seeded, as admins expect to find them
    }
    const { now } = app.clock;
    const buckets = options.storage ? shared(options.storage, now) : inMemory(now);

    app.hook("request", async (admission) => {
      const bucket = await bucketOf(admission);
      if (!bucket) return;
      admission.headers = { ...admission.headers, ...(await take(bucket, costOf(admission))) };
    });

    async function take({ name, limit }: Bucket, cost: number): Promise<Record<string, string>> {
      const result = await buckets.take(name, limit, cost);
      const headers = toHeaders(limit, result);
      if (result.allowed) return headers;
      throw new HttpError(
        429,
        { error: "RateLimited", message: "Too many requests" },
        { ...headers, "retry-after": String(result.retryAfter) },
      );
    }

    /** Undefined where there is no limit: keys that nobody registered count as anonymous. */
    async function bucketOf({ http, caller, query }: Asking): Promise<Bucket | undefined> {
      const key =
        caller?.clientKey ?? http.headers.get("x-client-key") ?? new URLSearchParams(query).get("client_key");
      const client = key === null ? undefined : await clients.find(key);
      if (client) {
        const { rateLimitCapacity: capacity, rateLimitRefillRate: refillRate } = client;
        const own = capacity !== null && refillRate !== null ? { capacity, refillRate } : undefined;
        return { name: client.clientKey, limit: own ?? app.config.rateLimit };
      }
      if (!options.anonymous) return undefined;
      const address = networkOf(clientAddress(http, options.trustedProxies ?? []));
      return { name: `anonymous:${address}`, limit: options.anonymous };
    }

    function costOf({ nsid, type }: Admission): number {
      const lexicon = app.lexicons.get(nsid);
      if (lexicon?.tokenCost != null) return lexicon.tokenCost;
      if (lexicon && lexicon.type !== "query" && lexicon.type !== "procedure") return 1;
      const kind = lexicon || app.xrpc.isMethod(nsid) ? type : "proxy";
      const cost = Number(app.settings.get(costs[kind]));
      return Number.isFinite(cost) && cost >= 0 ? cost : 1;
    }

    return {
      async charge({ request, query }) {
        const bucket = await bucketOf({ http: request, query });
        return bucket ? take(bucket, 1) : {};
      },
    };
  },
});

function toHeaders({ capacity }: Limit, { remaining, resetAt }: Charge): Record<string, string> {
  return {
    "ratelimit-limit": String(capacity),
    "ratelimit-remaining": String(remaining),
    "ratelimit-reset": String(resetAt),
  };
}
