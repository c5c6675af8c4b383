/** Longer ones do not fit a key of Postgres' index, and a NUL none of its texts: neither can name a record. */
const maxRefBytes = 2000;

/** Every distinct string value that begins with `at://`, at any depth: the targets of `db.backlinks` (sync-and-xrpc §2.7). */
export function extractRefs(record: unknown): Set<string> {
  const refs = new Set<string>();
  const pending: unknown[] = [record];
  // A stack of our own: a hostile record may be nested deeper than the call stack.
  for (let value = pending.pop(); pending.length > 0 || value !== undefined; value = pending.pop()) {
    if (typeof value === "string") {
      if (value.startsWith("at://") && isStorable(value)) refs.add(value);
    } else if (typeof value === "object" && value !== null) {
      for (const child of Object.values(value))
        if (child !== null && child !== undefined) pending.push(child);
    }
  }
  return refs;
}

function isStorable(ref: string): boolean {
  return Buffer.byteLength(ref) <= maxRefBytes && !ref.includes("\0");
}
