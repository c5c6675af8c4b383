import type { DatabaseSource } from "../../../core/db/database.ts";
import type {
  EngineRun,
  LimitName,
  LocalPart,
  ScriptOutcome,
  SourceKind,
  Validation,
} from "../engine/engine.ts";

/** The Lua implementation: docs/lua-engines.md says how they differ. */
export type EngineName = "lua54" | "fengari";

/** What a worker is started with. */
export interface WorkerSetup {
  engine: EngineName;
  database: DatabaseSource;
  /** Address of the file that runs `db.raw` for SQLite in a process of its own. */
  rawProcess: string;
  /** 32-bit numbers both sides see at once, see `signal`. */
  signals: SharedArrayBuffer;
}

/** Places in the shared numbers. Run ids grow, and a worker starts its runs in order. */
export const signal = {
  /** The run whose code executes now, 0 when none does. */
  running: 0,
  /** Grows whenever a script starts or stops executing: a value that stands still is a script that hangs. */
  segment: 1,
  /** The last run the worker has begun. */
  begun: 2,
  /** Set by the main thread: runs up to this one that have not begun were given to another worker. */
  skipUpTo: 3,
  /** Set by the main thread: the last run it gave up, for one that executes and reads no message. */
  aborted: 4,
  /** Memory that only the end of the thread gives back, in MiB. */
  mebibytes: 5,
} as const;

export const signalBytes = 24;

export type ToWorker =
  | { kind: "run"; id: number; run: Omit<EngineRun, LocalPart> }
  | { kind: "validate"; id: number; body: string; limits: EngineRun["limits"]; source: SourceKind }
  | ({ kind: "reply"; id: number; call: number } & CallAnswer)
  | { kind: "abort"; id: number }
  | { kind: "close" };

/** JSON text, or nothing for nil; an error is a text that the script may catch, unless it passed a limit of its run. */
export type CallAnswer =
  | { ok: true; value: string | undefined }
  | { ok: false; error: string; limit?: LimitName | undefined };

export type FromWorker =
  | { kind: "ready" }
  | { kind: "call"; id: number; call: number; name: string; args: string }
  /** The run is about to call `db.raw`. */
  | { kind: "raw"; id: number }
  | { kind: "outcome"; id: number; outcome: ScriptOutcome }
  | { kind: "validation"; id: number; validation: Validation }
  | { kind: "failed"; id: number; message: string };
