import type { RecordBeforeEvent, RecordInterceptor } from "../../core/index.ts";
import type { Arrival, Attempts } from "./attempts.ts";
import type { ScriptOutcome } from "./engine/engine.ts";
import type { Pool } from "./engine/pool.ts";
import { toSource, type ScriptRow, type Scripts } from "./scripts.ts";
import type { Variables } from "./variables.ts";

export interface RecordScriptParts {
  scripts: Scripts;
  variables: Variables;
  pool: Pool;
}

/** What a record script is about; a record event on its way in is one. */
export type ScriptedRecord = Pick<
  RecordBeforeEvent,
  "action" | "uri" | "did" | "collection" | "rkey" | "record"
>;

/**
 * Runs the script of a record event before it is stored: nil skips, a table replaces the body, anything else lets the
 * event pass as it is (lua §1.3). A script that keeps failing is reported and the record goes on (fail open, lua §1.5).
 */
export function recordScripts(parts: RecordScriptParts & { attempts: Attempts }): RecordInterceptor {
  const { scripts, attempts } = parts;
  return {
    wants: (action, collection) => scripts.forRecord(action, collection) !== undefined,
    async handle(event, signal) {
      const { action, uri, did, collection, rkey } = event;
      const arrival: Arrival = {
        hostKind: "record",
        hostId: `${collection}:${action}`,
        uri,
        actor: did,
        collection,
        script: () => scripts.forRecord(action, collection),
        run: (script) => runRecordScript(parts, script, event, signal),
        wait: event.wait,
        payload: (trigger) => ({
          trigger,
          action,
          uri,
          did,
          collection,
          rkey,
          record: event.record ?? null,
        }),
        detail: { did, rkey },
      };
      const outcome = await attempts.run(arrival, signal);
      if (outcome?.kind === "nil") event.skip("script returned nil");
      // A table from Lua is a JSON object or array; what is stored is what the script gave (lua §1.3).
      else if (outcome?.kind === "value" && outcome.isTable)
        event.replace(JSON.parse(outcome.json) as Record<string, unknown>, outcome.json);
    },
  };
}

/** One attempt. */
export function runRecordScript(
  { pool, variables }: RecordScriptParts,
  script: ScriptRow,
  { action, uri, did, collection, rkey, record }: ScriptedRecord,
  signal?: AbortSignal,
): Promise<ScriptOutcome> {
  const text = record === undefined ? null : JSON.stringify(record);
  return pool.run(
    {
      kind: "record",
      script: toSource(script),
      env: variables.env(),
      event: { action, uri, did, collection, rkey, record: text },
    },
    signal ? { signal } : {},
  );
}
