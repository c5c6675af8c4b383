/** What one run may use. All are ceilings, not reservations. */
export interface Limits {
  /** VM instructions, counted in steps of a thousand. @default 50_000_000 */
  instructions: number;
  /** Time in which the script itself runs, without the waits for the host. */
  milliseconds: number;
  /** Bytes the Lua state may hold. @default 64 MiB */
  memoryBytes: number;
  /** Size of the JSON text a script may return. @default 16 MiB */
  resultBytes: number;
  /** Rows that one call of `db.raw` may give. @default 10_000 */
  rawRows: number;
  /** Size of the JSON text of these rows. @default 32 MiB */
  rawBytes: number;
  /** Time that the database may spend on all `db.raw` calls of a run, or on each one of a job. @default 10_000 */
  rawMilliseconds: number;
}

export const defaultLimits: Limits = {
  instructions: 50_000_000,
  milliseconds: 10_000,
  memoryBytes: 64 * 1024 * 1024,
  resultBytes: 16 * 1024 * 1024,
  rawRows: 10_000,
  rawBytes: 32 * 1024 * 1024,
  rawMilliseconds: 10_000,
};

/** A ceiling of a run. Once it is passed, nothing the script does keeps it going. */
export type LimitName = keyof Limits | "httpRequests" | "httpBytes";

/** Those of `db.raw`. */
export type RawLimitName = "rawRows" | "rawBytes" | "rawMilliseconds";

/** What cannot travel to a worker. */
export type LocalPart = "onSegment" | "onRaw" | "call" | "isAborted";

/** A value of the script as the host sees it. Lua integers are bigints, floats are numbers, JSON null is null. */
export type ScriptValue = undefined | null | boolean | bigint | number | string | ScriptTable;

export interface ScriptTable {
  fields: ReadonlyMap<string, ScriptValue>;
  items: readonly ScriptValue[];
  /** Items that are there and cannot be seen from outside, such as functions: their Lua types by index. */
  opaque?: ReadonlyMap<number, string>;
}

/** JSON text as the result of a host function: it goes into Lua without becoming JavaScript values first. */
export interface JsonText {
  json: string;
}

export type HostResult = undefined | boolean | bigint | number | string | JsonText;

/** A function the script may call; it may wait. What it throws as ScriptError the script can catch. */
export type HostFunction = (
  args: readonly ScriptValue[],
  run: HostContext,
) => HostResult | Promise<HostResult>;

/** What a host function may know about the run that calls it. */
export interface HostContext {
  log(line: ScriptLog): void;
  print(message: string): void;
  calls: HostCalls;
  raw: RawBudget;
  /** The source of a module that came with the run. */
  module(name: string): string | undefined;
}

/** What a run may ask of `db.raw`, and has asked. */
export interface RawBudget {
  limits: Readonly<Record<RawLimitName, number>>;
  /** Rows and bytes of its largest call; the time of all, or of the longest where each has the whole limit. */
  used: Record<RawLimitName, number>;
  isPerCall: boolean;
  /** Told before each call. */
  onCall(): void;
}

/** Asks the main thread: a name and the arguments as a JSON array; the answer is JSON, or nothing for nil. */
export type HostCall = (name: string, args: string) => Promise<string | undefined>;

/** The calls of one run to the main thread. Several may be under way, each is waited for by its number. */
export interface HostCalls {
  /** @throws ScriptError when there is no host, or too much is under way */
  start(name: string, args: string): number;
  finish(call: number): Promise<HostResult>;
  /** Nobody will ask for the result. */
  drop(call: number): void;
}

/** Host functions by dotted global name, such as `db.query`. `TID` beside `TID.toNumber` makes a callable table. */
export type HostApi = Readonly<Record<string, HostFunction>>;

export class ScriptError extends Error {
  override name = "ScriptError";
  /** Set when a limit of the run is passed: the script may catch the error, but its run is over. */
  readonly limit: LimitName | undefined;

  constructor(message: string, { cause, limit }: { cause?: unknown; limit?: LimitName | undefined } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.limit = limit;
  }
}

/** A line of the script's log. */
export interface ScriptLog {
  /** Of `internal.logging`; `log()` has none. `debug` is for the process log only. */
  level?: "debug" | "info" | "warn" | "error";
  message: string;
  /** A JSON object. */
  fields?: string;
}

/** One fresh VM: load the body, set the globals, call `handle(input, ctx)`. */
export interface EngineRun {
  /** Names the chunk in error messages and tracebacks: the file of the script, or its trigger. */
  chunkName: string;
  body: string;
  /** A JSON object; each member becomes a global. */
  globals: string;
  /** The global that is also handed to `handle` as its first argument; of a job it is the job's input. */
  input: string;
  /** A JSON object, the second argument of `handle`; the global `env` is added to it. */
  context: string;
  /** A result that is no JSON becomes null instead of an error (jobs). */
  isLenient?: boolean;
  /** Each call of `db.raw` has the whole limit of time (jobs). */
  isRawPerCall?: boolean;
  /** Only tables are written as JSON, anything else is merely "not nil" (record and label scripts). */
  onlyTables: boolean;
  limits: Limits;
  /** Sources for `require`, by name: `lib.dates`. */
  modules?: Readonly<Record<string, string>>;
  /** The way to the main thread; without it the functions that need it raise. */
  call?: HostCall;
  /** True once nobody waits for the run any more: it is ended like one that is over its time. */
  isAborted?: () => boolean;
  /**
   * Called whenever the script, or a host function it called, starts to execute (true), and when the thread is
   * free again (false), so that a watcher can see one that hangs.
   */
  onSegment?: (isRunning: boolean) => void;
  /** Called before each `db.raw`, which may write. */
  onRaw?: () => void;
}

export interface ScriptFailure {
  /** `syntax` also covers what fails while the chunk loads, before `handle` exists. */
  type: "syntax" | "missing_handle" | "runtime" | "timeout" | "memory";
  /** Without position and traceback. */
  message: string;
  line: number | null;
  /** Without the frames of our own code. */
  traceback: string;
  /** The limit that ended the run. */
  limit?: LimitName | undefined;
}

/** What a run used of its limits. */
export interface Usage extends Partial<Record<RawLimitName, number>> {
  instructions: number;
  /** Time in which the script itself ran. */
  ms: number;
  /** At its peak. */
  memoryBytes: number;
  httpRequests?: number;
  httpBytes?: number;
}

/** The ceilings of a run, those included that its engine does not know. */
export type Ceilings = Partial<Record<LimitName, number>>;

export type ScriptResult =
  | { kind: "nil" }
  | { kind: "value"; json: string; isTable: boolean }
  | { kind: "error"; error: ScriptFailure };

export type ScriptOutcome = ScriptResult & {
  /** What the script gave to log() and to internal.logging. */
  logs: ScriptLog[];
  /** What it gave to print() and warn(): for the process log only. */
  prints: string[];
  used: Usage;
  /** What `used` is to be compared with; the pool tells it. */
  limits?: Ceilings;
};

export type SourceKind = "script" | "module";

export type Validation = { ok: true } | { ok: false; message: string };

/**
 * One Lua implementation in one thread. Runs may overlap while they wait for the host; otherwise a run
 * blocks its thread, and its limits are enforced from inside as far as the implementation can.
 */
export interface Engine {
  run(run: EngineRun): ScriptOutcome | Promise<ScriptOutcome>;
  /** Loads the body with the utilities alone and an `env` whose every key is "" (spec 6.2). A module has no `handle`. */
  validate(body: string, limits: Limits, kind?: SourceKind): Validation;
  /** Memory it has taken and gives back only with its thread. */
  heldBytes?(): number;
  close(): void;
}
