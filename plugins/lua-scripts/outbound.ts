/**
 * The methods that a script calls by a literal name, in the order they first appear; null for none (lua §6.2).
 * Lines that are comments do not count.
 */
export function outboundXrpcs(body: string): string[] | null {
  const found = new Set<string>();
  for (const line of body.split("\n")) {
    if (line.trimStart().startsWith("--")) continue;
    for (const match of line.matchAll(/xrpc\.(?:query|procedure)\(\s*(["'])([^"']+)\1/g))
      if (match[2]) found.add(match[2]);
  }
  return found.size > 0 ? [...found] : null;
}
