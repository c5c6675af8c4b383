import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../../core/errors.ts";
import { refusedAnswer } from "../../../core/http/answer.ts";
import { ArchiveError, troubleOf } from "./error.ts";

export interface ArchiveHttpParts {
  /** `wss:`, `ws:`, `https:` or `http:`. */
  base: string;
  /** Sent to the planner and with downloads, and to nothing else (jetstream §0). */
  key?: string | undefined;
  /** @default the global one */
  fetch?: typeof fetch;
  /** In [0, 1); spreads retries. @default Math.random */
  random?: (() => number) | undefined;
  /** How often a request is tried before it fails. @default 6 */
  tries?: number;
  /** The longest wait before another try, whatever the server wants. @default 30_000 */
  maxWaitMs?: number;
  /** How long a body may keep its reader waiting, beyond what a line of 16 kB/s needs. @default 60_000 */
  patienceMs?: number;
}

export interface Download {
  etag: string;
  /** Where in the file it begins. */
  from: number;
  /** Of the whole file; undefined where the server does not say. */
  size: number | undefined;
  chunks: AsyncIterable<Uint8Array>;
}

export type Params = Record<string, string | number>;

/** The methods `network.bsky.jetstream.*`. What fails in passing is tried again; all else is an ArchiveError. */
export interface ArchiveHttp {
  procedure(name: string, body: Record<string, unknown>, signal: AbortSignal): Promise<unknown>;
  query(name: string, params: Params, signal: AbortSignal): Promise<unknown>;
  /** A whole body of a size that memory can hold. */
  bytes(name: string, params: Params, options: { maxBytes: number; signal: AbortSignal }): Promise<Buffer>;
  /** A body to be read piece by piece, from an offset on when it still has that ETag. What breaks while it is read throws. */
  download(
    name: string,
    params: Params,
    options: { from: number; etag: string | undefined; signal: AbortSignal },
  ): Promise<Download>;
}

const headersTimeoutMs = 60_000;
const idleTimeoutMs = 30_000;
const leastBytesPerMs = 16;

/** A page of 100,000 entries has some 10 MB. */
const maxJsonBytes = 64 * 1024 * 1024;

/** Methods for which a hosted server may demand a key; others must not learn it. */
const guarded = new Set(["planSnapshot", "planBackfill", "getSegment", "getBlock"]);

export function createArchiveHttp(parts: ArchiveHttpParts): ArchiveHttp {
  const {
    key,
    fetch: ask = fetch,
    random = Math.random,
    tries = 6,
    maxWaitMs = 30_000,
    patienceMs = 60_000,
  } = parts;
  const base = parts.base.replace(/\/+$/, "").replace(/^ws(s?):/i, "http$1:");

  const bodyOf = (response: Response): AsyncGenerator<Uint8Array> => chunksOf(response, patienceMs);

  async function request(
    name: string,
    params: Params,
    init: RequestInit & { signal: AbortSignal },
  ): Promise<Response> {
    const query = new URLSearchParams();
    for (const [field, value] of Object.entries(params)) query.set(field, String(value));
    const url = `${base}/xrpc/network.bsky.jetstream.${name}${query.size > 0 ? `?${query}` : ""}`;
    const limit = new AbortController();
    const timer = setTimeout(
      () => limit.abort(new Error(`no answer within ${headersTimeoutMs / 1000} s`)),
      headersTimeoutMs,
    );
    const headers = {
      ...init.headers,
      ...(key && guarded.has(name) ? { authorization: `Bearer ${key}` } : {}),
    };
    try {
      const signal = AbortSignal.any([init.signal, limit.signal]);
      const response = await ask(url, { ...init, headers, signal, redirect: "manual" });
      if (response.status === 200 || response.status === 206) return response;
      throw await refusalOf(name, response);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Tries again after what may pass; waits as long as the server wants, up to a limit. */
  async function persistently<T>(name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        signal.throwIfAborted();
        const trouble = troubleOf(error);
        if (trouble !== undefined && trouble !== "unreachable") throw error;
        if (attempt === tries)
          throw trouble
            ? error
            : new ArchiveError("unreachable", `${name} of the archive: ${explain(error)}`, { cause: error });
        const wanted = error instanceof ArchiveError ? error.retryAfterMs : undefined;
        const waitMs = wanted ?? 250 * 2 ** attempt * (0.5 + random() / 2);
        await sleep(Math.min(waitMs, maxWaitMs), undefined, { signal });
      }
    }
  }

  const json = (
    name: string,
    params: Params,
    init: RequestInit & { signal: AbortSignal },
  ): Promise<unknown> =>
    persistently(name, init.signal, async () => {
      const body = await whole(bodyOf(await request(name, params, init)), maxJsonBytes);
      return JSON.parse(body.toString("utf8")) as unknown;
    });

  return {
    procedure: (name, body, signal) =>
      json(
        name,
        {},
        {
          method: "POST",
          body: JSON.stringify(body),
          headers: { "content-type": "application/json" },
          signal,
        },
      ),
    query: (name, params, signal) => json(name, params, { signal }),
    bytes: (name, params, { maxBytes, signal }) =>
      persistently(name, signal, async () =>
        whole(bodyOf(await request(name, params, { signal })), maxBytes),
      ),
    download: (name, params, { from, etag, signal }) =>
      persistently(name, signal, async () => {
        const isPart = from > 0 && etag !== undefined;
        const headers = isPart ? { range: `bytes=${from}-`, "if-range": etag } : {};
        const response = await request(name, params, { headers, signal });
        return { ...partOf(response), chunks: bodyOf(response) };
      }),
  };
}

function partOf({ headers, status }: Response): Omit<Download, "chunks"> {
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get("content-range") ?? "");
  const length = Number(headers.get("content-length") ?? Number.NaN);
  return {
    etag: headers.get("etag") ?? "",
    from: status === 206 && range ? Number(range[1]) : 0,
    size: status === 206 && range ? Number(range[2]) : Number.isNaN(length) ? undefined : length,
  };
}

/** The body, as long as enough comes; a reader that takes its time is not the server's fault. */
async function* chunksOf({ body }: Response, patienceMs: number): AsyncGenerator<Uint8Array> {
  if (!body) return;
  const reader = body.getReader();
  let leftMs = patienceMs;
  try {
    for (;;) {
      const askedAt = performance.now();
      const { done, value } = await inTime(reader.read());
      if (done) return;
      const waitedMs = performance.now() - askedAt;
      leftMs = Math.min(patienceMs, leftMs + value.length / leastBytesPerMs) - waitedMs;
      if (leftMs < 0) throw new ArchiveError("unreachable", "the archive sends too slowly");
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`nothing came for ${idleTimeoutMs / 1000} s`)),
    idleTimeoutMs,
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function whole(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes) throw new ArchiveError("corrupt", `the archive sends more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function refusalOf(name: string, response: Response): Promise<ArchiveError> {
  const { status, error, message, waitMs } = await refusedAnswer(
    `${name} of the archive`,
    response,
    Date.now(),
  );
  const isPassing = status === 408 || status === 429 || (status >= 500 && status !== 501);
  if (isPassing) return new ArchiveError("unreachable", message, { status, retryAfterMs: waitMs });
  const isGone = error === "SegmentNotFound" || error === "BlockNotFound";
  return new ArchiveError(isGone ? "gone" : "refused", message, { status });
}
