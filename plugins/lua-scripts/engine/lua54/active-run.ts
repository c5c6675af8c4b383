import { ScriptError, type EngineRun, type HostContext, type LimitName, type ScriptLog } from "../engine.ts";
import { createHostCalls } from "../host-calls.ts";
import type { Machine } from "./machine.ts";

/** What clients are told (lua §3.5), for both limits. */
const timeText = "script exceeded execution time limit";

const maxLogLines = 1000;
const maxLogChars = 256 * 1024;

/** One run between its first instruction and its outcome. */
export interface ActiveRun<M = Machine> {
  request: EngineRun;
  machine: M;
  /** Ends once the chunk has run and `handle` is there. */
  loadOnly: boolean;
  host: HostContext;
  logs: ScriptLog[];
  prints: string[];
  phase: "load" | "handle";
  missingHandle: boolean;
  result: { kind: "nil" } | { kind: "value"; json: string; isTable: boolean };
  /** Set once a limit is passed: from then on every instruction raises, so no pcall outlives it. */
  exceeded: { limit: LimitName; message: string } | undefined;
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
  const logs = boundedLines<ScriptLog>(
    ({ message, fields = "" }) => message.length + fields.length,
    (message) => ({ message }),
  );
  const prints = boundedLines<string>(
    (line) => line.length,
    (line) => line,
  );
  const sourceOf = (of: Readonly<Record<string, string>>, name: string): string | undefined =>
    Object.hasOwn(of, name) ? of[name] : undefined;
  const run: ActiveRun<M> = {
    request,
    machine,
    loadOnly,
    host: {
      log: logs.add,
      print: prints.add,
      calls: createHostCalls(request.call, (limit, message) => exceed(run, limit, message)),
      raw: {
        limits: request.limits,
        used: { rawRows: 0, rawBytes: 0, rawMilliseconds: 0 },
        isPerCall: request.isRawPerCall ?? false,
        onCall: () => request.onRaw?.(),
      },
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
  return run;
}

/** The run is over, whatever its script does: the first limit it passed counts. */
export function exceed(run: ActiveRun<unknown>, limit: LimitName, message: string): void {
  run.exceeded ??= { limit, message };
}

/** What the script learns of an error of a host function; where that passed a limit, its run is over. */
export function hostFailure(run: ActiveRun<unknown>, name: string, error: unknown): string {
  // What is not a ScriptError is ours and may hold a query or a path: the script only learns that it failed.
  if (!(error instanceof ScriptError)) return `${name} failed`;
  if (error.limit) exceed(run, error.limit, error.message);
  return error.message;
}

/** Counts instructions and looks at the clock; true once a limit of the run is passed. */
export function isOver(run: ActiveRun<unknown>, instructions: number): boolean {
  if (run.exceeded) return true;
  run.instructions += instructions;
  const { limits, isAborted } = run.request;
  if (run.instructions > limits.instructions) exceed(run, "instructions", timeText);
  else if (run.elapsedMs + performance.now() - run.startedAt > limits.milliseconds || isAborted?.())
    exceed(run, "milliseconds", timeText);
  return run.exceeded !== undefined;
}

export function startSegment(run: ActiveRun<unknown>): void {
  run.startedAt = performance.now();
  run.request.onSegment?.(true);
}

export function endSegment(run: ActiveRun<unknown>): void {
  const ms = performance.now() - run.startedAt;
  run.elapsedMs += ms;
  scriptsMs += ms;
}

/** Time in which scripts have run on this thread. */
let scriptsMs = 0;

/** For the time of a wait, in milliseconds: it stands still while another script has the thread. */
export function waitClock(): number {
  return performance.now() - scriptsMs;
}

interface Lines<Line> {
  lines: Line[];
  add: (line: Line) => void;
}

function boundedLines<Line>(lengthOf: (line: Line) => number, make: (text: string) => Line): Lines<Line> {
  const lines: Line[] = [];
  let left = maxLogChars;
  return {
    lines,
    add(line) {
      if (lines.length > maxLogLines) return;
      const length = lengthOf(line);
      const isFull = lines.length === maxLogLines || length > left;
      lines.push(isFull ? make("(the rest of the log of this run is dropped)") : line);
      left = isFull ? -1 : left - length;
    },
  };
}
