import type { PageStart } from "../records/store.ts";

const maxOffset = 100_000;

/** A cursor names the last row of a page, so pages neither repeat nor miss rows while records arrive. */
export function encodeCursor({ indexedAt, uri }: { indexedAt: string; uri: string }): string {
  return Buffer.from(`${indexedAt}|${uri}`).toString("base64url");
}

/** A decimal is an offset, as HappyView gave out; what cannot be read starts at the first page (sync-and-xrpc §4.5). */
export function decodeCursor(cursor: unknown): PageStart | undefined {
  if (typeof cursor === "number") return offset(cursor);
  if (typeof cursor !== "string" || cursor === "" || cursor.length > 4096) return undefined;
  if (/^\d+$/.test(cursor)) return offset(Number(cursor));
  const text = Buffer.from(cursor, "base64url").toString("utf8");
  const bar = text.indexOf("|");
  const uri = text.slice(bar + 1);
  return bar >= 0 && uri.startsWith("at://") ? { indexedAt: text.slice(0, bar), uri } : undefined;
}

function offset(value: number): PageStart | undefined {
  return Number.isSafeInteger(value) && value > 0 ? { offset: Math.min(value, maxOffset) } : undefined;
}

/** `limit` as an integer or a numeric string: 20 when it is neither, between 1 and 100 in any case. */
export function decodeLimit(limit: unknown): number {
  const number = typeof limit === "string" && /^[+-]?\d+$/.test(limit) ? Number(limit) : limit;
  if (typeof number !== "number" || !Number.isInteger(number)) return typeof number === "bigint" ? 100 : 20;
  return Math.min(Math.max(number, 1), 100);
}
