import { HttpError } from "../errors.ts";
import { jsonText, type Reply } from "../http/reply.ts";
import type { Lexicon } from "../lexicons/registry.ts";
import { recordWithUri, type ListCondition, type RecordStore } from "../records/store.ts";
import { decodeCursor, decodeLimit, encodeCursor } from "./cursor.ts";
import type { Params } from "./params.ts";

/** Narrows the list of a collection by what the request asks for; undefined leaves it as it is. */
export type ListConditionSource = (list: { collection: string; params: Params }) => ListCondition | undefined;

/** What a query lexicon without a script does: one record by `uri`, or a list of its target collection (sync-and-xrpc §4.5). */
export async function defaultQuery(
  lexicon: Lexicon,
  values: Params,
  store: RecordStore,
  conditions: readonly ListConditionSource[] = [],
): Promise<Reply> {
  if (typeof values["uri"] === "string") return getRecord(values["uri"], store);
  if (lexicon.targetCollection === null)
    throw new HttpError(400, `${lexicon.id} has no target_collection configured for list queries`);
  const collection = lexicon.targetCollection;
  const page = await store.list({
    collection,
    did: typeof values["did"] === "string" ? values["did"] : undefined,
    limit: decodeLimit(values["limit"]),
    start: decodeCursor(values["cursor"]),
    where: conditions.flatMap((condition) => condition({ collection, params: values }) ?? []),
  });
  const records = page.rows.map((row) => recordWithUri(row.record, row.uri)).join(",");
  const cursor = page.next ? `,"cursor":${JSON.stringify(encodeCursor(page.next))}` : "";
  return jsonText(`{"records":[${records}]${cursor}}`);
}

async function getRecord(uri: string, store: RecordStore): Promise<Reply> {
  const row = await store.get(uri);
  if (!row) throw new HttpError(404, "record not found");
  return jsonText(`{"record":${recordWithUri(row.record, uri)}}`);
}
