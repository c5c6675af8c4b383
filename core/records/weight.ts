import type { SourceEvent } from "./change.ts";

/** About how many bytes an event has as JSON: enough to tell large ones from small ones, at the price of neither. */
export function weightOf(event: SourceEvent): number {
  return event.kind === "commit" ? (event.text?.length ?? weightOfRecord(event.record)) : 0;
}

function weightOfRecord(record: unknown): number {
  let weight = 0;
  // A stack of our own: a hostile record may be nested deeper than the call stack.
  const pending: unknown[] = [record];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value === "string") weight += value.length;
    else if (typeof value !== "object" || value === null) weight += 8;
    else
      for (const [key, child] of Object.entries(value)) {
        weight += key.length;
        pending.push(child);
      }
  }
  return weight;
}
