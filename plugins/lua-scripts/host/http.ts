import { explain } from "../../../core/errors.ts";
import { isObject } from "../../../core/lexicons/document.ts";
import { ScriptError } from "../engine/engine.ts";
import type { HostFunctions } from "../engine/host.ts";
import type { ScriptRun } from "../engine/script-run.ts";
import type { ScriptFetch } from "./outgoing.ts";

/** Requests made and bytes read. */
export interface HttpUse {
  httpRequests: number;
  httpBytes: number;
}

/** What one run may ask of the network, and what it has asked so far. */
export interface HttpAllowance {
  limits: Readonly<HttpUse>;
  used: HttpUse;
  /** For each request, with its redirects and its body. */
  timeoutMs: number;
}

export const defaultTimeoutMs = 30_000;
const jobTimeoutMs = 600_000;

/** A job copies as much as there is, and nobody waits for its requests: what ends it is being cancelled. */
export function httpAllowance(kind: ScriptRun["kind"], timeoutMs = defaultTimeoutMs): HttpAllowance {
  const isJob = kind === "job";
  const unlimited = Number.POSITIVE_INFINITY;
  return {
    limits: isJob
      ? { httpRequests: unlimited, httpBytes: unlimited }
      : { httpRequests: 100, httpBytes: 500_000_000 },
    used: { httpRequests: 0, httpBytes: 0 },
    timeoutMs: isJob ? Math.max(timeoutMs, jobTimeoutMs) : timeoutMs,
  };
}

/** @throws ScriptError that ends the run, for a request that it may not make any more */
export function countRequest({ limits, used }: HttpAllowance): void {
  const passed = (limit: keyof HttpUse, what: string): ScriptError =>
    new ScriptError(`HTTP request failed: a run may ${what}`, { limit });
  if (used.httpRequests >= limits.httpRequests)
    throw passed("httpRequests", `make ${limits.httpRequests} requests`);
  if (used.httpBytes > limits.httpBytes) throw passed("httpBytes", `read ${limits.httpBytes} bytes`);
  used.httpRequests++;
}

/** `http.*` (lua §4.4): every status is a result, only a request that comes to none raises. */
export function httpFunctions(fetch: ScriptFetch, allowance: HttpAllowance): HostFunctions {
  const { used, timeoutMs } = allowance;
  return {
    "http.request": async ([given], { signal }) => {
      const { method, url, headers, body } = readRequest(given);
      countRequest(allowance);
      const response = await fetch(url, { method, headers, body, signal, timeoutMs }).catch(
        (error: unknown) => {
          throw new ScriptError(`HTTP request failed: ${explain(error)}`);
        },
      );
      const content = await response.arrayBuffer().catch((error: unknown) => {
        throw new ScriptError(`HTTP read body failed: ${explain(error)}`);
      });
      used.httpBytes += content.byteLength;
      return {
        status: response.status,
        body: method === "HEAD" ? "" : new TextDecoder().decode(content),
        headers: plainHeaders(response.headers),
      };
    },
  };
}

interface Given {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string | undefined;
}

/** The Lua side builds it, so only its types need to be told to the compiler. */
function readRequest(given: unknown): Given {
  const { method, url, headers, body } = isObject(given) ? given : {};
  return {
    method: String(method).toUpperCase(),
    url: String(url),
    headers: Object.fromEntries(
      Object.entries(isObject(headers) ? headers : {}).map(([name, value]) => [name, String(value)]),
    ),
    body: typeof body === "string" ? body : undefined,
  };
}

/** Lower-case names; of equal names the last wins; what is not ASCII is left out. */
function plainHeaders(headers: Headers): Record<string, string> {
  const plain: Record<string, string> = {};
  for (const [name, value] of headers) if (/^[\t\x20-\x7e]*$/.test(value)) plain[name] = value;
  return plain;
}
