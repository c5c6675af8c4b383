import type { RecordAction } from "./change.ts";

/** A record event on its way in. Without a call to `replace` or `skip` it goes on as it is. */
export interface RecordBeforeEvent {
  readonly action: RecordAction;
  readonly uri: string;
  readonly did: string;
  readonly collection: string;
  readonly rkey: string;
  readonly cid: string;
  /** Undefined on delete. */
  readonly record: Record<string, unknown> | undefined;
  /**
   * Stores this body instead, as its JSON text where there is one with numbers that JavaScript would change; the cid stays
   * the event's. Without effect on a delete.
   */
  replace(record: Record<string, unknown>, json?: string): void;
  /**
   * Sleeps before another attempt, without keeping others from running. A repo whose events have waited long already
   * does not wait again: one account must not hold up the stream's position for everybody.
   */
  wait(ms: number): Promise<void>;
  /** Leaves the index as it is; the reason goes into the event log. */
  skip(reason: string): void;
}

export interface RecordInterceptor {
  /** Asked for every event, so it must be cheap: only events it wants wait for the handler. */
  wants(action: RecordAction, collection: string): boolean;
  /** Runs before the event is stored, in order for each repo. `signal` aborts when the server stops. */
  handle(event: RecordBeforeEvent, signal: AbortSignal): Promise<void>;
}
