import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import type { DeadLettersApi } from "../dead-letters/index.ts";
import type { ScriptFailure, ScriptOutcome } from "./engine/engine.ts";
import { shortened, sizes } from "./report-detail.ts";
import { located, type FailedRun, type Reports } from "./report.ts";
import type { ScriptRow } from "./scripts.ts";

/** One attempt and three more, with these waits between (lua §1.5). */
const defaultDelaysMs: readonly number[] = [1000, 2000, 4000];

export interface AttemptsParts {
  app: Pick<PluginApp, "events" | "log">;
  letters?: Pick<DeadLettersApi, "add"> | undefined;
  retryDelaysMs?: readonly number[];
  reports: Reports;
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
  reports,
}: AttemptsParts): Attempts {
  return {
    async run(arrival, signal) {
      let failure: Omit<FailedRun, "input" | "actor"> | undefined;
      for (let attempt = 0; attempt <= retryDelaysMs.length; attempt++) {
        if (attempt > 0) await pause(arrival, retryDelaysMs[attempt - 1] ?? 0, signal);
        const script = arrival.script();
        if (!script) return undefined;
        const begun = performance.now();
        const outcome = await arrival.run(script).catch((error: unknown) => {
          if (signal?.aborted) throw error;
          return notRun(error);
        });
        if ("logs" in outcome) reports.lines(script, arrival.actor, outcome);
        if (outcome.kind !== "error") {
          executed(arrival, script.id, attempt + 1);
          return outcome;
        }
        const error = reports.masked(outcome.error);
        failure = { script, error, durationMs: performance.now() - begun };
        if ("used" in outcome) failure.outcome = outcome;
        app.log.warn(`a ${arrival.hostKind} script failed`, {
          trigger: script.id,
          uri: arrival.uri,
          attempt: attempt + 1,
          error: describe(error),
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

  async function deadLetter(arrival: Arrival, failure: Omit<FailedRun, "input" | "actor">): Promise<void> {
    const { hostKind, hostId, uri, collection, actor } = arrival;
    const { script, error } = failure;
    const payload = arrival.payload(script.id);
    const attempts = retryDelaysMs.length + 1;
    const text = describe(error);
    app.log.error(`a ${hostKind} script failed every attempt; the ${hostKind} goes on as it is`, {
      trigger: script.id,
      uri,
      error: text,
    });
    const detail = reports.detail({ ...failure, actor, input: JSON.stringify(payload) });
    app.events.emit({
      type: "script.dead_lettered",
      severity: "error",
      subject: uri,
      detail: {
        ...detail,
        host_kind: hostKind,
        host_id: hostId,
        ...arrival.detail,
        attempts,
        error: shortened(text, sizes.error),
      },
    });
    const letter = { scriptRef: script.id, hostKind, hostId, payload, attempts, collection };
    // The record or label must not be lost along with its letter.
    await letters?.add({ ...letter, error: located(error, script) }).catch((cause: unknown) => {
      app.log.error("a dead letter could not be written", {
        trigger: script.id,
        uri,
        error: explain(cause),
      });
    });
  }
}

function pause(arrival: Arrival, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return arrival.wait ? arrival.wait(ms) : sleep(ms, undefined, { signal, ref: false });
}

/** A run that could not be made, because too many wait or its thread died, is a failed attempt like any other. */
function notRun(error: unknown): { kind: "error"; error: ScriptFailure } {
  return {
    kind: "error",
    error: { type: "runtime", message: explain(error), line: null, traceback: "" },
  };
}

function describe({ message, line, type }: ScriptFailure): string {
  return `${type}${line === null ? "" : ` at line ${line}`}: ${message}`;
}
