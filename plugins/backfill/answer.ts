import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import { refusedAnswer } from "../../core/http/answer.ts";
import { shownUrl } from "../../core/http/shown-url.ts";
import { FetchError } from "./failure.ts";

/** Asks a host for JSON. @throws RefusedAnswer, FetchError invalid_response, and what the network throws */
export async function getJson(
  fetch: OutgoingFetch,
  url: string,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const response = await get(fetch, url, signal, "application/json");
  const text = await response.text();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FetchError("invalid_response", `${shownUrl(url)} answers with something that is not JSON`, {
      cause,
    });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw new FetchError("invalid_response", `${shownUrl(url)} does not answer with a JSON object`);
}

export async function get(
  fetch: OutgoingFetch,
  url: string,
  signal: AbortSignal,
  accept: string,
): Promise<Response> {
  const response = await fetch(url, { redirect: "error", signal, headers: { accept } });
  if (response.ok) return response;
  throw await refusedAnswer(shownUrl(url), response, Date.now());
}

export function xrpcUrl(host: string, method: string, params: Record<string, string | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value !== undefined) query.set(name, value);
  return `${host}/xrpc/${method}?${query}`;
}
