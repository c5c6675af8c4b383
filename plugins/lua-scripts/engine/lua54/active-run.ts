import type { EngineRun, HostContext, ScriptFailure } from "../engine.ts";
import { createHostCalls } from "../host-calls.ts";
import type { Machine } from "./machine.ts";

const maxLogLines = 1000;
const maxLogChars = 256 * 1024;

/** One run between its first instruction and its outcome. */
export interface ActiveRun<M = Machine> {
  request: EngineRun;
  machine: M;
  /** Ends once the chunk has run and `handle` is there. */
  loadOnly: boolean;
  host: HostContext;
  logs: string[];
  prints: string[];
  phase: "load" | "handle";
  missingHandle: boolean;
  result: { kind: "nil" } | { kind: "value"; json: string; isTable: boolean };
  /** Set once a limit is passed: from then on every instruction raises, so no pcall outlives it. */
  exceeded: ScriptFailure["type"] | undefined;
  instructions: number;
  /** Time in finished segments, and the start of the one that runs. */
  elapsedMs: number;
  startedAt: number;
  /** What a host function is waiting for, and how its result becomes Lua values. */
  pending: Promise<unknown> | undefined;
  settled: { ok: true; value: unknown } | { ok: false; error: unknown } | undefined;
}

export function createActiveRun<M = Machine>(
  request: EngineRun,
  machine: M,
  loadOnly: boolean,
  builtIn: Readonly<Record<string, string>> = {},
): ActiveRun<M> {
  const logs = boundedLines();
  const prints = boundedLines();
  const sourceOf = (of: Readonly<Record<string, string>>, name: string): string | undefined =>
    Object.hasOwn(of, name) ? of[name] : undefined;
  return {
    request,
    machine,
    loadOnly,
    host: {
      log: logs.add,
      print: prints.add,
      calls: createHostCalls(request.call),
      module: (name) => sourceOf(builtIn, name) ?? sourceOf(request.modules ?? {}, name),
    },
    logs: logs.lines,
    prints: prints.lines,
    phase: "load",
    missingHandle: false,
    result: { kind: "nil" },
    exceeded: undefined,
    instructions: 0,
    elapsedMs: 0,
    startedAt: 0,
    pending: undefined,
    settled: undefined,
  };
}

export function startSegment(run: ActiveRun<unknown>): void {
  run.startedAt = performance.now();
  run.request.onSegment?.(true);
}

export function endSegment(run: ActiveRun<unknown>): void {
  run.elapsedMs += performance.now() - run.startedAt;
}

function boundedLines(): { lines: string[]; add: (line: string) => void } {
  const lines: string[] = [];
  let left = maxLogChars;
  return {
    lines,
    add(line) {
      if (lines.length > maxLogLines) return;
      const full = lines.length === maxLogLines || line.length > left;
      lines.push(full ? "(the rest of the log of this run is dropped)" : line);
      left = full ? -1 : left - line.length;
    },
  };
}
