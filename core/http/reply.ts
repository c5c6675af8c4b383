import { isHttpError } from "../errors.ts";

const brand: symbol = Symbol.for("happyview.reply");

/** An answer before it takes the form of a runtime: a web Response, or what Node writes. */
export interface Reply {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>> | null;
}

export function reply(status: number, body: Reply["body"], headers: Record<string, string> = {}): Reply {
  const made: Reply = { status, headers, body };
  Object.defineProperty(made, brand, { value: true });
  return made;
}

export function isReply(value: unknown): value is Reply {
  return typeof value === "object" && value !== null && brand in value;
}

export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Reply {
  return jsonText(JSON.stringify(value), status, headers);
}

/** For JSON that is text already: pages of records are joined from what the database holds. */
export function jsonText(text: string, status = 200, headers: Record<string, string> = {}): Reply {
  return reply(status, text, { "content-type": "application/json", ...headers });
}

export function text(body: string, status = 200, headers: Record<string, string> = {}): Reply {
  return reply(status, body, { "content-type": "text/plain; charset=utf-8", ...headers });
}

export function html(body: string, status = 200): Reply {
  return reply(status, body, { "content-type": "text/html; charset=utf-8" });
}

export function redirect(location: string, status: 302 | 303 = 303): Reply {
  return reply(status, null, { location });
}

/** A handler's result: a Reply as it is, nothing as 204, anything else as JSON. */
export function toReply(result: unknown): Reply {
  if (isReply(result)) return result;
  return result === undefined ? reply(204, null) : json(result);
}

/** An error's answer. What is not meant for clients becomes a bare 500: its text may hold internals. */
export function errorReply(error: unknown): Reply {
  if (!isHttpError(error)) return json({ error: "internal server error" }, 500);
  if (typeof error.body === "string") return text(error.body, error.status, error.headers);
  return json(error.body, error.status, error.headers);
}

export function toResponse({ status, headers, body }: Reply): Response {
  return new Response(body, { status, headers });
}
