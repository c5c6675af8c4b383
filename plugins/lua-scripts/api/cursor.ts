/** A place in a list: base64 of `<created_at>|<uri>`. */
export function encodeCursor(createdAt: string, uri: string): string {
  return Buffer.from(`${createdAt}|${uri}`).toString("base64");
}

/** Undefined for anything that is no cursor: a list then starts at its beginning (spec 4.1). */
export function decodeCursor(cursor: string): { createdAt: string; uri: string } | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(cursor)) return undefined;
  const text = Buffer.from(cursor, "base64").toString("utf8");
  const bar = text.indexOf("|");
  return bar < 0 ? undefined : { createdAt: text.slice(0, bar), uri: text.slice(bar + 1) };
}
