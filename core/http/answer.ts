/** An answer of another server that says no. */
export class RefusedAnswer extends Error {
  readonly status: number;
  /** The XRPC error name, "" without one. */
  readonly error: string;
  /** The XRPC message, "" without one. */
  readonly detail: string;
  /** What the server asks us to wait before the next request. */
  readonly waitMs: number | undefined;

  constructor(
    from: string,
    answer: { status: number; error?: string; detail?: string; waitMs?: number | undefined },
  ) {
    const { status, error = "", detail = "", waitMs } = answer;
    super(`${from} answers ${[status, error, detail].filter(Boolean).join(" ")}`);
    this.name = "RefusedAnswer";
    this.status = status;
    this.error = error;
    this.detail = detail;
    this.waitMs = waitMs;
  }
}

const maxTextLength = 200;
const maxErrorBytes = 8192;

/** Reads a refusal; `from` names the server without its secrets. */
export async function refusedAnswer(from: string, response: Response, nowMs: number): Promise<RefusedAnswer> {
  const { status } = response;
  const answer = { status, waitMs: waitMsOf(response.headers, nowMs) };
  try {
    const body: unknown = JSON.parse(await readSome(response));
    if (typeof body !== "object" || body === null) return new RefusedAnswer(from, answer);
    const text = (name: string): string => {
      const value = (body as Record<string, unknown>)[name];
      return typeof value === "string" ? value.slice(0, maxTextLength) : "";
    };
    return new RefusedAnswer(from, { ...answer, error: text("error"), detail: text("message") });
  } catch {
    return new RefusedAnswer(from, answer); // the status says enough
  }
}

async function readSome(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > maxErrorBytes) break;
  }
  return Buffer.concat(chunks).toString("utf8");
}

const maxWaitMs = 120_000;

/**
 * `RateLimit-Reset` in Unix seconds (at least a second from now), else `Retry-After` in seconds or as a date; at most
 * two minutes (sync-and-xrpc §3.5).
 */
export function waitMsOf(headers: Headers, nowMs: number): number | undefined {
  const reset = headers.get("ratelimit-reset");
  if (reset !== null && /^\d+$/.test(reset))
    return Math.min(Math.max(Number(reset) * 1000 - nowMs, 1000), maxWaitMs);
  const after = headers.get("retry-after");
  if (after === null) return undefined;
  const ms = /^\d+$/.test(after) ? Number(after) * 1000 : Date.parse(after) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), maxWaitMs);
}
