import type { LimitName, ScriptFailure, ScriptOutcome } from "./engine/engine.ts";
import { cutMark, type Mask } from "./mask.ts";

/** Bytes as JSON. Together less than an entry of the event log may have, or only its beginning would be kept. */
export const sizes = {
  error: 2048,
  traceback: 3072,
  source: 2048,
  input: 4096,
  fields: 4096,
  response: 8192,
} as const;

/** Lines of a long script that are shown before and after the one that failed. */
const linesAround = 6;

const names: Record<LimitName, string> = {
  instructions: "instructions",
  milliseconds: "ms",
  memoryBytes: "memory_bytes",
  resultBytes: "result_bytes",
  httpRequests: "http_requests",
  httpBytes: "http_bytes",
  rawRows: "raw_rows",
  rawBytes: "raw_bytes",
  rawMilliseconds: "raw_ms",
};

export function limitName(limit: LimitName): string {
  return names[limit];
}

/** `{ instructions: { used, of }, … }`; a job has no limit of time, which is `of: null`. */
export function limitsUsed({ used, limits = {} }: Pick<ScriptOutcome, "used" | "limits">): object {
  const known: Partial<Record<LimitName, number | undefined>> = {
    instructions: used.instructions,
    milliseconds: Math.round(used.ms),
    memoryBytes: used.memoryBytes,
    httpRequests: used.httpRequests,
    httpBytes: used.httpBytes,
    rawRows: used.rawRows,
    rawBytes: used.rawBytes,
    rawMilliseconds: used.rawMilliseconds === undefined ? undefined : Math.round(used.rawMilliseconds),
  };
  const entries = Object.entries(limits) as [LimitName, number][]; // that is what Ceilings are made of
  return Object.fromEntries(
    entries.map(([limit, of]) => [
      names[limit],
      { ...(known[limit] === undefined ? {} : { used: known[limit] }), of: Number.isFinite(of) ? of : null },
    ]),
  );
}

/** Where it failed, as an editor opens it: the module's line, the script's, or the innermost one of the traceback. */
export function positionOf(
  name: string,
  error: Pick<ScriptFailure, "message" | "line" | "traceback">,
): string {
  const module = /^(scripts\/lib\/[^:]+:\d+): /.exec(error.message)?.[1];
  if (module !== undefined) return module;
  if (error.line !== null) return `${name}:${error.line}`;
  return /^\t(?!\[C\])(\S+:\d+): in /m.exec(error.traceback)?.[1] ?? name;
}

/** JSON text as a value, or the beginning of the text where it is long. */
export function shown(json: string, maxBytes: number, mask: Mask): unknown {
  const masked = mask(json);
  if (Buffer.byteLength(masked) > maxBytes) return shortened(masked, maxBytes);
  try {
    return JSON.parse(masked) as unknown;
  } catch {
    return shortened(masked, maxBytes); // a secret was a number, or a name of a variable has a quote in it
  }
}

/** The beginning of a text, in at most so many bytes of JSON. */
export function shortened(text: string, maxBytes: number): string {
  let kept = text.length > maxBytes ? text.slice(0, maxBytes) : text;
  for (;;) {
    const bytes = Buffer.byteLength(JSON.stringify(kept)) + cutMark.length * 3;
    if (bytes <= maxBytes) return kept === text ? text : kept + cutMark;
    kept = kept.slice(0, Math.floor((kept.length * maxBytes) / bytes) - 1);
  }
}

/** The whole body where it is short, else the lines about the one that failed. */
export function excerpt(body: string, line: number | null): string {
  if (body.length <= sizes.source) return body;
  const lines = body.split("\n");
  const at = line ?? 1;
  const from = Math.max(1, at - linesAround);
  const to = Math.min(lines.length, at + linesAround);
  return `-- lines ${from} to ${to} of ${lines.length}\n${lines.slice(from - 1, to).join("\n")}`;
}
