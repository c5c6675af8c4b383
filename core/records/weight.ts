import type { SourceEvent } from "./change.ts";

/** About how many bytes an event has as JSON: enough to tell large ones from small ones, at the price of neither. */
export function weightOf(event: SourceEvent): number {
  return event.kind === "commit" ? (event.text?.length ?? weigh(event.record)) : 0;
}

function weigh(value: unknown): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 8;
  let weight = 0;
  for (const [key, child] of Object.entries(value)) weight += key.length + weigh(child);
  return weight;
}
