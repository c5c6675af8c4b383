import { setTimeout as sleep } from "node:timers/promises";
import type { PluginApp, RecordBeforeEvent, RecordInterceptor } from "../../core/index.ts";
import type { ScriptOutcome } from "./engine/engine.ts";
import type { Pool } from "./engine/pool.ts";
import type { ScriptRow, Scripts } from "./scripts.ts";
import type { Variables } from "./variables.ts";

/** One attempt and three more, with these waits between (lua §1.5). */
const retryDelaysMs: readonly number[] = [1000, 2000, 4000];

export interface RecordScriptParts {
  app: Pick<PluginApp, "events" | "log">;
  scripts: Scripts;
  variables: Variables;
  pool: Pool;
  retryDelaysMs?: readonly number[];
}

/**
 * Runs the script of a record event before it is stored: nil skips, a table replaces the body, anything else lets the
 * event pass as it is (lua §1.3). A script that keeps failing is reported and the record goes on (fail open, lua §1.5).
 */
export function recordScripts({
  app,
  scripts,
  variables,
  pool,
  ...options
}: RecordScriptParts): RecordInterceptor {
  const delays = options.retryDelaysMs ?? retryDelaysMs;
  return {
    wants: (action, collection) => scripts.forRecord(action, collection) !== undefined,
    async handle(event, signal) {
      let failure = "";
      let trigger = "";
      for (let attempt = 0; attempt <= delays.length; attempt++) {
        if (attempt > 0) await sleep(delays[attempt - 1], undefined, { signal, ref: false });
        const script = scripts.forRecord(event.action, event.collection);
        if (!script) return; // removed while the event waited
        trigger = script.id;
        const outcome = await run(script, event, signal);
        for (const message of outcome.logs)
          app.events.emit({
            type: "script.log",
            actor: event.did,
            subject: trigger,
            detail: { trigger, message },
          });
        if (outcome.kind !== "error") return apply(outcome, event, trigger, attempt + 1);
        failure = describe(outcome.error);
        app.log.warn("a record script failed", {
          trigger,
          uri: event.uri,
          attempt: attempt + 1,
          error: failure,
        });
      }
      deadLetter(event, trigger, failure);
    },
  };

  function run(script: ScriptRow, event: RecordBeforeEvent, signal: AbortSignal): Promise<ScriptOutcome> {
    const { action, uri, did, collection, rkey, record } = event;
    return pool.run(
      {
        kind: "record",
        script: { trigger: script.id, body: script.body },
        env: variables.env(),
        event: {
          action,
          uri,
          did,
          collection,
          rkey,
          record: record === undefined ? null : JSON.stringify(record),
        },
      },
      { signal },
    );
  }

  function apply(outcome: ScriptOutcome, event: RecordBeforeEvent, trigger: string, attempts: number): void {
    const detail = { host_kind: "record", host_id: `${event.collection}:${event.action}`, trigger, attempts };
    app.events.emit({ type: "script.executed", subject: event.uri, detail });
    if (outcome.kind === "nil") event.skip("script returned nil");
    // A table from Lua is a JSON object or array; what is stored is what the script gave (lua §1.3).
    else if (outcome.kind === "value" && outcome.isTable)
      event.replace(JSON.parse(outcome.json) as Record<string, unknown>);
  }

  function deadLetter(event: RecordBeforeEvent, trigger: string, error: string): void {
    const { action, uri, did, collection, rkey } = event;
    app.log.error("a record script failed every attempt; the record goes on as it is", {
      trigger,
      uri,
      error,
    });
    app.events.emit({
      type: "script.dead_lettered",
      severity: "error",
      subject: uri,
      detail: {
        trigger,
        host_kind: "record",
        host_id: `${collection}:${action}`,
        did,
        rkey,
        attempts: delays.length + 1,
        error,
      },
    });
  }
}

function describe({ message, line, type }: { message: string; line: number | null; type: string }): string {
  return `${type}${line === null ? "" : ` at line ${line}`}: ${message}`;
}
