import { safeFetchWrap, unicastLookup } from "@atproto-labs/fetch-node";
import { Agent } from "undici";
import { explain } from "../../../core/errors.ts";
import { pinning } from "../../../core/http/pinned.ts";

/** One request of a script, redirects followed. */
export type ScriptFetch = (url: string, init: ScriptRequest) => Promise<Response>;

export interface ScriptRequest {
  method: string;
  headers: Readonly<Record<string, string>>;
  body?: string | undefined;
  signal: AbortSignal;
  /** For everything: redirects, and the body of the answer. */
  timeoutMs: number;
}

export interface ScriptFetchOptions {
  /** Hosts (`meilisearch.internal:7700`, or without a port) whose address may be private; `*` for every host. */
  allow: readonly string[];
  /** @default 100 MB */
  maxResponseBytes?: number;
}

const maxRedirects = 10;
const secretHeaders = /^(authorization|cookie|proxy-authorization)$/i;

/**
 * For URLs that scripts ask for, with data of strangers in them. Where the connection is made the address is checked,
 * again after every redirect: private, loopback and link-local ones are refused unless the config lists the host.
 */
export function createScriptFetch(options: ScriptFetchOptions): ScriptFetch {
  const { allow, maxResponseBytes = 100_000_000 } = options;
  const wrap = (isOpen: boolean): typeof globalThis.fetch =>
    safeFetchWrap({
      fetch: patientFetch(isOpen),
      ...(isOpen ? {} : pinning()),
      ssrfProtection: !isOpen,
      allowPrivateIps: isOpen,
      allowHttp: true,
      allowIpHost: true,
      allowCustomPort: true,
      forbiddenDomainNames: [],
      timeout: Number.POSITIVE_INFINITY,
      responseMaxSize: maxResponseBytes,
    });
  const guarded = wrap(false);
  const open = wrap(true);

  const hop = async (url: URL, init: RequestInit): Promise<Response> => {
    const isOpen = isAllowed(url, allow);
    try {
      return await (isOpen ? open : guarded)(url.href, init);
    } catch (cause) {
      const reason = explain(cause);
      if (!/unicast|not a public domain/.test(reason)) throw cause;
      throw new Error(
        `${url.host} is a private address; list it in the option http.allow or in SCRIPT_HTTP_ALLOW`,
        { cause },
      );
    }
  };

  return async (address, { method, headers, body, signal, timeoutMs }) => {
    let url = new URL(address);
    let init: RequestInit = {
      method,
      headers,
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      redirect: "manual",
      ...(body === undefined ? {} : { body }),
    };
    for (let redirects = 0; ; redirects++) {
      const response = await hop(url, init);
      const location = response.headers.get("location");
      if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return response;
      await response.body?.cancel();
      if (redirects >= maxRedirects) throw new Error(`more than ${maxRedirects} redirects`);
      const next = new URL(location, url);
      init = redirected(init, response.status, url, next);
      url = next;
    }
  };
}

/** Without the 300 s that Node and Bun wait at most for an answer: how long a request may take is said with it. */
function patientFetch(isOpen: boolean): typeof globalThis.fetch {
  const dispatcher = new Agent({
    headersTimeout: 0,
    bodyTimeout: 0,
    // In the place of the agent that checks addresses: this one must do it too.
    ...(isOpen ? {} : { connect: { lookup: unicastLookup } }),
  });
  // `dispatcher` is for Node, `timeout` for Bun; the types know neither of this undici.
  const options: object = { dispatcher, timeout: false };
  return (input, init) => globalThis.fetch(input, { ...init, ...options });
}

/** What the next request still carries: no body where the method becomes GET, no credentials to another origin. */
function redirected(init: RequestInit, status: number, from: URL, to: URL): RequestInit {
  const { body, ...rest } = init;
  const becomesGet = status === 303 ? init.method !== "HEAD" : status < 303 && init.method === "POST";
  const kept = Object.entries(init.headers ?? {}).filter(
    ([name]) =>
      (from.origin === to.origin || !secretHeaders.test(name)) && !(becomesGet && /^content-/i.test(name)),
  );
  return {
    ...rest,
    headers: Object.fromEntries(kept) as Record<string, string>, // they were a plain object of texts
    ...(becomesGet ? { method: "GET" } : body === undefined ? {} : { body }),
  };
}

function isAllowed({ hostname, port, protocol }: URL, allow: readonly string[]): boolean {
  const withPort = `${hostname}:${port || (protocol === "https:" ? "443" : "80")}`;
  return allow.some((entry) => {
    const host = entry.toLowerCase();
    return host === "*" || host === hostname || host === withPort;
  });
}
