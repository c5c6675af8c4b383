import type { Clock } from "./clock.ts";
import { explain } from "./errors.ts";
import type { Hooks } from "./hooks.ts";
import type { Logger } from "./log.ts";

/** An entry of the event log, as `GET /admin/events` shows it (admin-api §2.10). */
export interface LogEvent {
  type: string;
  severity: "info" | "warn" | "error";
  /** Who did it: a DID, or null for the system. */
  actor: string | null;
  subject: string | null;
  detail: Record<string, unknown>;
  at: string;
}

export type EventInput = Pick<LogEvent, "type"> & Partial<Omit<LogEvent, "type" | "at">>;

export interface Events {
  /** Announces the hook `event`. Never throws: an event log that fails must not fail the request. */
  emit(event: EventInput): void;
}

export function createEvents(hooks: Hooks, clock: Clock, log: Logger): Events {
  return {
    emit(input) {
      const event: LogEvent = {
        severity: "info",
        actor: null,
        subject: null,
        detail: {},
        ...input,
        at: clock.timestamp(),
      };
      const failed = (error: unknown): void =>
        log.error("an event listener failed", { event: event.type, error: explain(error) });
      try {
        const result = hooks.callHook("event", event);
        if (result) result.catch(failed);
      } catch (error) {
        failed(error);
      }
    },
  };
}
