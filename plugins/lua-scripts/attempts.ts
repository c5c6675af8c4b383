import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import type { DeadLettersApi } from "../dead-letters/index.ts";
import type { ScriptFailure, ScriptLog, ScriptOutcome, Usage } from "./engine/engine.ts";
import { failureDetail } from "./failure-detail.ts";
import type { ScriptRow } from "./scripts.ts";
import type { Variables } from "./variables.ts";

/** One attempt and three more, with these waits between (lua §1.5). */
const defaultDelaysMs: readonly number[] = [1000, 2000, 4000];

export interface AttemptsParts {
  app: Pick<PluginApp, "events" | "log">;
  letters?: Pick<DeadLettersApi, "add"> | undefined;
  retryDelaysMs?: readonly number[];
  variables: Pick<Variables, "mask">;
}

/** Something that arrived from the network and has a script that runs before it is stored. */
export interface Arrival {
  hostKind: "record" | "label";
  /** `<nsid>:<action>` for records, the labeler's DID for labels. */
  hostId: string;
  uri: string;
  /** Whom the script acts for. */
  actor: string | null;
  collection: string | null;
  /** Asked before each attempt: a script may be mended or removed while its arrival waits. */
  script(): ScriptRow | undefined;
  run(script: ScriptRow): Promise<ScriptOutcome>;
  /** Waits before another attempt. @default sleeps */
  wait?(ms: number): Promise<void>;
  /** What a dead letter keeps, so that the script can run again later. */
  payload(trigger: string): Record<string, unknown>;
  /** For the event of a dead letter. */
  detail?: Record<string, unknown>;
}

export type Success = Exclude<ScriptOutcome, { kind: "error" }>;

export interface Attempts {
  /** The outcome of the first attempt that succeeds; undefined when none does (fail open) or there is no script. */
  run(arrival: Arrival, signal?: AbortSignal): Promise<Success | undefined>;
}

export function createAttempts({
  app,
  letters,
  retryDelaysMs = defaultDelaysMs,
  variables: { mask },
}: AttemptsParts): Attempts {
  return {
    async run(arrival, signal) {
      let failure: { error: ScriptFailure; used: Usage | undefined; trigger: string } | undefined;
      for (let attempt = 0; attempt <= retryDelaysMs.length; attempt++) {
        if (attempt > 0) await pause(arrival, retryDelaysMs[attempt - 1] ?? 0, signal);
        const script = arrival.script();
        if (!script) return undefined;
        const outcome = await arrival.run(script).catch((error: unknown) => {
          if (signal?.aborted) throw error;
          return notRun(error);
        });
        emitLogs(app.events, { trigger: script.id, actor: arrival.actor, logs: outcome.logs, mask });
        if (outcome.kind !== "error") {
          executed(arrival, script.id, attempt + 1);
          return outcome;
        }
        failure = {
          error: outcome.error,
          used: "used" in outcome ? outcome.used : undefined,
          trigger: script.id,
        };
        app.log.warn(`a ${arrival.hostKind} script failed`, {
          trigger: script.id,
          uri: arrival.uri,
          attempt: attempt + 1,
          error: mask(describe(outcome.error)),
        });
      }
      if (failure) await deadLetter(arrival, failure);
      return undefined;
    },
  };

  function executed({ hostKind, hostId, uri }: Arrival, trigger: string, attempts: number): void {
    const detail = { host_kind: hostKind, host_id: hostId, trigger, attempts };
    app.events.emit({ type: "script.executed", subject: uri, detail });
  }

  async function deadLetter(
    arrival: Arrival,
    { trigger, error, used }: { trigger: string; error: ScriptFailure; used: Usage | undefined },
  ): Promise<void> {
    const { hostKind, hostId, uri, collection } = arrival;
    const payload = arrival.payload(trigger);
    const attempts = retryDelaysMs.length + 1;
    const text = mask(describe(error));
    app.log.error(`a ${hostKind} script failed every attempt; the ${hostKind} goes on as it is`, {
      trigger,
      uri,
      error: text,
    });
    app.events.emit({
      type: "script.dead_lettered",
      severity: "error",
      subject: uri,
      detail: {
        ...failureDetail({ trigger, error, used, input: payload, caller: arrival.actor }, mask),
        host_kind: hostKind,
        host_id: hostId,
        ...arrival.detail,
        attempts,
        error: text,
      },
    });
    const letter = { scriptRef: trigger, hostKind, hostId, payload, attempts, collection };
    // The record or label must not be lost along with its letter.
    await letters?.add({ ...letter, error: mask(located(error, trigger)) }).catch((cause: unknown) => {
      app.log.error("a dead letter could not be written", { trigger, uri, error: explain(cause) });
    });
  }
}

function pause(arrival: Arrival, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return arrival.wait ? arrival.wait(ms) : sleep(ms, undefined, { signal, ref: false });
}

/** What a script logged, with the values of script variables masked. */
export function emitLogs(
  events: PluginApp["events"],
  {
    trigger,
    actor,
    logs,
    mask,
  }: { trigger: string; actor: string | null; logs: readonly ScriptLog[]; mask: (text: string) => string },
): void {
  for (const { message } of logs)
    events.emit({ type: "script.log", actor, subject: trigger, detail: { trigger, message: mask(message) } });
}

/** As Lua writes it: `record.index:com.example.note:3: attempt to index a nil value`. */
export function located({ message, line }: ScriptFailure, trigger: string): string {
  return line === null ? message : `${trigger}:${line}: ${message}`;
}

/** A run that could not be made, because too many wait or its thread died, is a failed attempt like any other. */
function notRun(error: unknown): { kind: "error"; error: ScriptFailure; logs: ScriptLog[] } {
  return {
    kind: "error",
    error: { type: "runtime", message: explain(error), line: null, traceback: "" },
    logs: [],
  };
}

function describe({ message, line, type }: ScriptFailure): string {
  return `${type}${line === null ? "" : ` at line ${line}`}: ${message}`;
}
