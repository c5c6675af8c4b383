import { HttpError } from "../errors.ts";
import { jsonText, type Reply } from "../http/reply.ts";
import type { Lexicon } from "../lexicons/registry.ts";
import { recordWithUri, type ListCondition, type RecordStore } from "../records/store.ts";
import type { Decoration } from "./decorate.ts";
import { decodeCursor, decodeLimit, encodeCursor } from "./cursor.ts";
import type { Params } from "./params.ts";

/** Narrows the list of a collection by what the request asks for; undefined leaves it as it is. */
export type ListConditionSource = (list: { collection: string; params: Params }) => ListCondition | undefined;

export interface QueryExtras {
  conditions?: readonly ListConditionSource[];
  decorations?: readonly Decoration[];
}

/** What a query lexicon without a script does: one record by `uri`, or a list of its target collection (sync-and-xrpc §4.5). */
export async function defaultQuery(
  lexicon: Lexicon,
  values: Params,
  store: RecordStore,
  { conditions = [], decorations = [] }: QueryExtras = {},
): Promise<Reply> {
  const headers = Object.assign({}, ...decorations.map((each) => each.headers)) as Record<string, string>;
  if (typeof values["uri"] === "string")
    return jsonText(`{"record":${await getRecord(values["uri"], store, decorations)}}`, 200, headers);
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
  const plain = page.rows.map((row) => recordWithUri(row.record, row.uri));
  const records = decorations.length === 0 ? plain : await decorated(page.rows, plain, decorations);
  const cursor = page.next ? `,"cursor":${JSON.stringify(encodeCursor(page.next))}` : "";
  return jsonText(`{"records":[${records.join(",")}]${cursor}}`, 200, headers);
}

async function getRecord(
  uri: string,
  store: RecordStore,
  decorations: readonly Decoration[],
): Promise<string> {
  const row = await store.get(uri);
  const plain = row && recordWithUri(row.record, uri);
  const [record] =
    row && plain !== undefined && decorations.length > 0
      ? await decorated([{ uri, record: row.record }], [plain], decorations)
      : [plain];
  if (record === undefined) throw new HttpError(404, "record not found");
  return record;
}

/** The records with what decorations add to them, without those that one of them leaves out. */
async function decorated(
  rows: readonly { uri: string; record: string }[],
  records: readonly string[],
  decorations: readonly Decoration[],
): Promise<string[]> {
  const added = await Promise.all(decorations.map((each) => each.members(rows)));
  return records.flatMap((record, i) => {
    const members = added.map((each) => each.get(rows[i]?.uri ?? ""));
    if (members.includes(null)) return [];
    return [withMembers(record, Object.assign({}, ...members) as Record<string, string>)];
  });
}

/** Appended as text, unless the record may have a member of that name itself. */
function withMembers(record: string, members: Readonly<Record<string, string>>): string {
  return Object.entries(members).reduce((text, [name, json]) => {
    if (!text.includes(`"${name}"`)) return `${text.slice(0, -1)},"${name}":${json}}`;
    return JSON.stringify({ ...(JSON.parse(text) as object), [name]: JSON.parse(json) as unknown });
  }, record);
}
