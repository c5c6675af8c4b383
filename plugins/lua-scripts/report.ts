import type { PluginApp } from "../../core/index.ts";
import type { ScriptFailure, ScriptLog, ScriptOutcome } from "./engine/engine.ts";
import { excerpt, limitName, limitsUsed, positionOf, shortened, shown, sizes } from "./report-detail.ts";
import { sourceName, type ScriptRow } from "./scripts.ts";
import type { Variables } from "./variables.ts";

/** A run that failed; one that could not be made used nothing. */
export interface FailedRun {
  script: ScriptRow;
  error: ScriptFailure;
  outcome?: Pick<ScriptOutcome, "used" | "limits">;
  /** JSON text of what caused it: parameters, a body, a record event. */
  input: string;
  /** Whom the script acted for. */
  actor: string | null;
  durationMs: number;
}

/** An XRPC script that answered. */
export interface AnsweredCall extends Pick<FailedRun, "script" | "input" | "actor" | "durationMs"> {
  method: string;
  /** JSON text. */
  response: string;
}

/** What operators learn of runs. Values of script variables are masked wherever they appear. */
export interface Reports {
  /** `log()` and `internal.logging` become events, `print` and `debug` lines of the process log. */
  lines(script: ScriptRow, actor: string | null, outcome: Pick<ScriptOutcome, "logs" | "prints">): void;
  /** The failure as it may be shown: to the caller, in a dead letter, in a log. */
  masked(failure: ScriptFailure): ScriptFailure;
  /** For the event of a failure: where, why, on which input, what was used of what. */
  detail(failed: FailedRun): Record<string, unknown>;
  /** Announces `script.error`. */
  failed(failed: FailedRun, more: Record<string, unknown>): void;
  /** True where the event log keeps `script.executed`. Asked first: a busy query should not pay for what nobody keeps. */
  isVerbose(): boolean;
  /** Announces `script.executed` with what went in and came out. */
  answered(call: AnsweredCall): void;
  mask: Variables["mask"];
}

export function createReports(
  { events, log, settings }: Pick<PluginApp, "events" | "log" | "settings">,
  { mask }: Pick<Variables, "mask">,
): Reports {
  const line = (script: ScriptRow, actor: string | null, { level, message, fields }: ScriptLog): void => {
    const text = mask(message);
    if (level === "debug")
      return log.debug(text, { trigger: script.id, ...(fields ? { fields: mask(fields) } : {}) });
    events.emit({
      type: "script.log",
      severity: level ?? "info",
      actor,
      subject: script.id,
      detail: {
        trigger: script.id,
        message: text,
        ...(level ? { level } : {}),
        ...(fields ? { fields: shown(fields, sizes.fields, mask) } : {}),
      },
    });
  };
  const reports: Reports = {
    mask,
    lines(script, actor, { logs, prints }) {
      for (const each of logs) line(script, actor, each);
      for (const text of prints) log.info(mask(text), { trigger: script.id });
    },
    masked: (failure) => ({
      ...failure,
      message: mask(failure.message),
      traceback: mask(failure.traceback),
    }),
    detail({ script, error: { type, message, line: at, traceback, limit }, outcome, ...run }) {
      const text = mask(message);
      const frames = mask(traceback);
      return {
        trigger: script.id,
        source: positionOf(sourceName(script), { message: text, line: at, traceback: frames }),
        error: shortened(text, sizes.error),
        error_type: type,
        ...(limit ? { limit: limitName(limit) } : {}),
        line: at,
        traceback: shortened(frames, sizes.traceback),
        script_source: shortened(mask(excerpt(script.body, at)), sizes.source),
        input: shown(run.input, sizes.input, mask),
        caller_did: run.actor,
        duration_ms: Math.round(run.durationMs),
        ...(outcome ? { limits: limitsUsed(outcome) } : {}),
      };
    },
    failed(failed, more) {
      const { script, actor } = failed;
      const detail = { ...reports.detail(failed), ...more };
      events.emit({ type: "script.error", severity: "error", actor, subject: script.id, detail });
    },
    isVerbose: () => settings.isOn("verbose_event_logging"),
    answered({ script, actor, method, input, response, durationMs }) {
      events.emit({
        type: "script.executed",
        actor,
        subject: script.id,
        detail: {
          trigger: script.id,
          method,
          input: shown(input, sizes.input, mask),
          response: shown(response, sizes.response, mask),
          caller_did: actor,
          duration_ms: Math.round(durationMs),
        },
      });
    },
  };
  return reports;
}

/** As Lua writes it: `scripts/record.index/com.example.note.lua:3: attempt to index a nil value`. */
export function located({ message, line }: ScriptFailure, script: ScriptRow): string {
  return line === null ? message : `${sourceName(script)}:${line}: ${message}`;
}
