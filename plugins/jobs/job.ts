export const jobStatuses = [
  "pending",
  "running",
  "completed",
  "failed",
  "pausing",
  "paused",
  "cancelling",
  "cancelled",
] as const;

export type JobStatus = (typeof jobStatuses)[number];

/** A job while a handler works on it. */
export interface RunningJob {
  readonly id: string;
  readonly type: string;
  readonly input: unknown;
  /** The same as JSON text, exact for numbers that JavaScript would round. */
  readonly inputText: string;
  /** The account that created it. */
  readonly createdBy: string | null;
  /** True when it may act with the session of its creator. */
  readonly auth: boolean;
  /** Replaces what `GET /admin/jobs/:id` shows as progress. */
  progress(value: unknown): Promise<void>;
  /** True once somebody asked for a pause or a cancellation: return soon. */
  shouldStop(): Promise<boolean>;
  /** Waits up to an hour; ends early when the job should stop. */
  wait(seconds: number): Promise<void>;
  log(message: string): Promise<void>;
  warn(message: string): Promise<void>;
  /** Aborts when the server stops, when another process took the job over, and some time after a cancellation. */
  readonly signal: AbortSignal;
}

/** What it resolves to becomes the result; what it throws, the error. It may be run again from the start at any time. */
export type JobHandler = (job: RunningJob) => Promise<unknown>;

const raw: symbol = Symbol.for("happyview.raw-json");

/** A value that is JSON text already: exact for numbers that JavaScript would round, and nobody parses it to print it. */
export interface RawJson {
  readonly text: string;
}

export function rawJson(text: string): RawJson {
  return Object.defineProperty({ text }, raw, { value: true });
}

/** JSON text of a value; undefined for one that has none. */
export function toJsonText(value: unknown): string | undefined {
  if (typeof value === "object" && value !== null && raw in value) return (value as RawJson).text; // the brand says so
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

export interface JobRow {
  id: string;
  job_type: string;
  status: JobStatus;
  input: string;
  progress: string | null;
  result: string | null;
  error: string | null;
  created_by: string | null;
  started_at: string | null;
  completed_at: string | null;
  created_at: string;
  inherit_auth: number;
  api_client_id: string | null;
  dpop_key_id: string | null;
}

export const jobColumns =
  "id, job_type, status, input, progress, result, error, created_by, started_at, completed_at, created_at, inherit_auth, api_client_id, dpop_key_id";

export interface JobLogRow {
  id: number;
  level: string;
  message: string;
  created_at: string;
}

/** @throws TypeError with HappyView's words (lua §1.1) */
export function checkJobType(type: string): void {
  if (type.length < 1 || type.length > 128)
    throw new TypeError(`invalid job type '${type.slice(0, 200)}': must be 1–128 characters`);
  if (!/^[a-z0-9][a-z0-9._-]*$/.test(type))
    throw new TypeError(`invalid job type '${type}': must match /^[a-z0-9][a-z0-9._-]*$/`);
}

const nativePrefix = "happyview.";

export function isNative(type: string): boolean {
  return type.startsWith(nativePrefix);
}
