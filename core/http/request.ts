import { Rejection } from "../errors.ts";

/**
 * What handlers need of a request. A web `Request` has it, and so has the light object that the Node server makes:
 * building a whole `Request` costs more than answering a small query.
 */
export interface HttpRequest {
  readonly method: string;
  /** Absolute, or a path with a query. */
  readonly url: string;
  readonly headers: { get(name: string): string | null };
  readonly signal?: AbortSignal | undefined;
  /** The address at the other end of the connection, where the runtime tells it. */
  readonly remoteAddress?: string | undefined;
  /** Refused with 413 above `maxBytes`. @default maxBodyBytes */
  arrayBuffer(maxBytes?: number): Promise<ArrayBuffer>;
}

/** Bodies are bounded everywhere (admin-api §0.1). */
export const maxBodyBytes: number = 2 * 1024 * 1024;

/** Reads a JSON body, refusing as HappyView does: 415 wrong type, 400 not JSON, 413 too large. */
export async function readJson(request: HttpRequest): Promise<unknown> {
  return (await readJsonText(request)).value;
}

/** A JSON body with its text, which tells 5.0 from 5 and holds integers that a double cannot. */
export async function readJsonText(request: HttpRequest): Promise<{ text: string; value: unknown }> {
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
  if (type !== "application/json" && !type.endsWith("+json"))
    throw new Rejection(415, "Expected request with `Content-Type: application/json`");
  const text = await readText(request);
  try {
    return { text, value: JSON.parse(text) as unknown };
  } catch (error) {
    throw new Rejection(
      400,
      `Failed to parse the request body as JSON: ${error instanceof Error ? error.message : ""}`,
    );
  }
}

export async function readText(request: HttpRequest): Promise<string> {
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > maxBodyBytes) throw new Rejection(413, "length limit exceeded");
  const bytes = await request.arrayBuffer();
  if (bytes.byteLength > maxBodyBytes) throw new Rejection(413, "length limit exceeded");
  return new TextDecoder().decode(bytes);
}

/** The path and the raw query string of a request. */
export function splitUrl(url: string): { path: string; query: string } {
  const start = url.startsWith("/") ? 0 : url.indexOf("/", url.indexOf("://") + 3);
  const rest = start < 0 ? "/" : url.slice(start);
  const hash = rest.indexOf("#");
  const clean = hash < 0 ? rest : rest.slice(0, hash);
  const mark = clean.indexOf("?");
  return mark < 0 ? { path: clean, query: "" } : { path: clean.slice(0, mark), query: clean.slice(mark + 1) };
}

/** A path as routes know it, without the base path of the instance; undefined for one outside of it. */
export function localPath(path: string, basePath: string): string | undefined {
  const isWithin = path === basePath || path.startsWith(`${basePath}/`);
  return isWithin ? path.slice(basePath.length) || "/" : undefined;
}
