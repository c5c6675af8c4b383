import { isLocal } from "../../core/config/resolve.ts";
import { createOutgoingFetch } from "../../core/http/outgoing.ts";
import { createTxtLookup, dnsServers, type TxtLookup } from "../../core/identity/authority.ts";
import { definePlugin } from "../../core/index.ts";
import { networkLexiconsAdmin } from "./admin.ts";
import { maxDocumentBytes } from "./document.ts";
import { fetchLexicon } from "./fetch.ts";
import { createKeeper, type Pace } from "./keeper.ts";
import { networkLexiconResource } from "./resource.ts";
import { createServing } from "./serving.ts";
import { createTracking } from "./tracking.ts";

export interface NetworkLexiconsOptions {
  /** The servers that are asked who publishes an NSID, as `address` or `address:port`. @default those of the system, or DNS_SERVERS */
  dnsServers?: readonly string[];
  /** How long DNS may take, in milliseconds. @default 5000 */
  dnsTimeoutMs?: number;
  /** Looks TXT records up in another way than by DNS. */
  resolveTxt?: TxtLookup;
  /** Takes lexicons only with a proof that bears their authority's signature (`com.atproto.sync.getRecord`). @default false */
  proof?: boolean;
  /** Age at which a lexicon is read anew, in milliseconds; changes come by the stream before. @default 6 hours */
  refreshMs?: number;
  /** Wait after the first failure to read a lexicon, in milliseconds; doubles. @default 5000 */
  retryMs?: number;
  /** @default 15 minutes */
  maxRetryMs?: number;
  /** Lexicons that are read at once. @default 4 */
  concurrency?: number;
  /** In [0, 1), for the jitter of waits. @default Math.random */
  random?: () => number;
}

/**
 * Lexicons that other people publish: resolved by DNS, read from their authority's repo, and kept current from the
 * stream (sync-and-xrpc §1.6). `networkLexicons` of the config declares them, the admin API adds more.
 */
export const networkLexicons = definePlugin({
  name: "network-lexicons",
  setup(app, options: NetworkLexiconsOptions) {
    const { dnsTimeoutMs: timeoutMs, random = Math.random, proof = false } = options;
    const servers = dnsServers(app.config.env) ?? options.dnsServers;
    const source = {
      lookup: options.resolveTxt ?? createTxtLookup({ servers, timeoutMs }),
      identity: app.identity,
      // Besides the document there is little in an answer.
      fetch: createOutgoingFetch({
        allowPrivate: isLocal(app.config),
        maxResponseBytes: 2 * maxDocumentBytes,
      }),
      proof,
    };
    const fetch = (nsid: string): ReturnType<typeof fetchLexicon> => fetchLexicon(nsid, source);
    const serving = createServing(app);
    const keeper = createKeeper({ app, serving, fetch, pace: paceOf(options), random });

    networkLexiconsAdmin({ app, serving, fetch });
    app.resource(networkLexiconResource(app.lexicons, keeper));
    app.health.check("network-lexicons", keeper.health);
    app.hook("lexicon:published", createTracking({ app, keeper, serving }));
    app.hook("lexicon:changed", ({ action, lexicon }) => {
      const isFile = lexicon.source === "manual" && lexicon.origin === "config";
      if (action !== "deleted" && lexicon.source === "network") keeper.follow(lexicon);
      // One that is wanted stays so while an admin's version serves, but what a file says holds.
      else if (!keeper.wanted().has(lexicon.id) || isFile) keeper.forget(lexicon.id);
    });
    app.hook("app:ready", () => {
      app.onClose(() => keeper.close());
      keeper.start();
    });
  },
});

function paceOf(options: NetworkLexiconsOptions): Pace {
  const { refreshMs = 6 * 60 * 60 * 1000, retryMs = 5000, maxRetryMs = 15 * 60 * 1000 } = options;
  return { refreshMs, retryMs, maxRetryMs, concurrency: options.concurrency ?? 4 };
}
