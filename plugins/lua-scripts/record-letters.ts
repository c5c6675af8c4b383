import { z } from "zod";
import { HttpError, type PluginApp } from "../../core/index.ts";
import type { Letter, LetterOwner } from "../dead-letters/index.ts";
import { runRecordScript, type RecordScriptParts, type ScriptedRecord } from "./record.ts";
import { located, type Reports } from "./report.ts";

export interface RecordLetterParts extends RecordScriptParts {
  app: Pick<PluginApp, "fetch" | "identity" | "records">;
  reports: Reports;
}

const body = z.record(z.string(), z.unknown());
const stored = z.object({
  action: z.enum(["create", "update", "delete"]),
  uri: z.string(),
  did: z.string(),
  collection: z.string(),
  rkey: z.string(),
  record: body.nullish().transform((record) => record ?? undefined),
});
const fetched = z.object({ value: body, cid: z.string().optional() });

/** Runs the dead letters of record scripts again (lua §1.5). */
export function recordLetters(parts: RecordLetterParts): LetterOwner {
  const { app, scripts, reports } = parts;
  return {
    async retry(letter) {
      const event = toEvent(letter);
      const { action, collection } = event;
      const script = scripts.forRecord(action, collection);
      if (!script)
        throw new HttpError(
          404,
          `no script bound for record.${action}:${collection} (or record.index:${collection})`,
        );
      const outcome = await runRecordScript(parts, script, event);
      reports.lines(script, event.did, outcome);
      if (outcome.kind === "error") throw new Error(located(reports.masked(outcome.error), script));
    },
    async reindex(letter) {
      const event = toEvent(letter);
      const { value, cid = "" } = await fetchRecord(event);
      const { did, collection, rkey } = event;
      // Without a rev it is never stale: it is what the repo holds now.
      await app.records.pipeline.ingest({
        kind: "commit",
        action: event.action === "create" ? "create" : "update",
        did,
        collection,
        rkey,
        rev: "",
        record: value,
        cid,
      });
      await app.records.pipeline.flush();
    },
  };

  async function fetchRecord({
    did,
    collection,
    rkey,
    uri,
  }: ScriptedRecord): Promise<z.infer<typeof fetched>> {
    const pds = await app.identity.pds(did);
    const query = new URLSearchParams({ repo: did, collection, rkey });
    const response = await app.fetch(`${pds}/xrpc/com.atproto.repo.getRecord?${query}`, {
      redirect: "error",
    });
    if (!response.ok)
      throw new Error(
        `${uri} cannot be read: ${pds} answers ${response.status} to com.atproto.repo.getRecord`,
      );
    return fetched.parse(await response.json());
  }
}

function toEvent({ id, payload }: Letter): ScriptedRecord {
  const event = stored.safeParse(payload);
  if (event.success) return event.data;
  throw new HttpError(400, `the payload of dead letter ${id} is no record event; dismiss it instead`);
}
