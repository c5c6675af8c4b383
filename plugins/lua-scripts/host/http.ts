import { explain } from "../../../core/errors.ts";
import { isObject } from "../../../core/lexicons/document.ts";
import { ScriptError } from "../engine/engine.ts";
import type { HostFunctions } from "../engine/host.ts";
import type { ScriptFetch } from "./outgoing.ts";

/** What one run may ask of the network. */
export const httpLimits = { httpRequests: 100, httpBytes: 500_000_000 } as const;

/** What a run has asked of the network so far. */
export interface HttpUse {
  httpRequests: number;
  httpBytes: number;
}

/** @throws ScriptError that ends the run, for a request that it may not make any more */
export function countRequest(used: HttpUse): void {
  const passed = (limit: keyof typeof httpLimits, what: string): ScriptError =>
    new ScriptError(`HTTP request failed: a run may ${what}`, { limit });
  if (used.httpRequests >= httpLimits.httpRequests)
    throw passed("httpRequests", `make ${httpLimits.httpRequests} requests`);
  if (used.httpBytes > httpLimits.httpBytes) throw passed("httpBytes", `read ${httpLimits.httpBytes} bytes`);
  used.httpRequests++;
}

/** `http.*` (lua §4.4): every status is a result, only a request that comes to none raises. `used` counts. */
export function httpFunctions(fetch: ScriptFetch, used: HttpUse): HostFunctions {
  return {
    "http.request": async ([given], { signal }) => {
      const { method, url, headers, body } = readRequest(given);
      countRequest(used);
      const response = await fetch(url, { method, headers, body, signal }).catch((error: unknown) => {
        throw new ScriptError(`HTTP request failed: ${explain(error)}`);
      });
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
