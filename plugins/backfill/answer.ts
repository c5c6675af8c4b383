import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import { refusedAnswer } from "../../core/http/answer.ts";
import { shownUrl } from "../../core/http/shown-url.ts";
import { FetchError, tooLarge } from "./failure.ts";

/** Of an answer in JSON: a page of a hundred records has 160 KiB for each. */
const maxJsonBytes = 16 * 1024 * 1024;

/**
 * Asks a host for JSON; `take` hears of its bytes as they come, and may throw.
 * @throws RefusedAnswer, FetchError invalid_response, what the network throws; isTooLarge() knows the error of too much
 */
export async function getJson(
  fetch: OutgoingFetch,
  url: string,
  signal: AbortSignal,
  take?: (bytes: number) => void,
): Promise<Record<string, unknown>> {
  const text = await readText(await get(fetch, url, signal, "application/json"), take);
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

async function readText({ body }: Response, take?: (bytes: number) => void): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > maxJsonBytes) throw new Error(tooLarge);
    take?.(chunk.length);
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
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
