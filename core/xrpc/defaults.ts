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
  if (typeof values["uri"] === "string") return getRecord(values["uri"], store, decorations, headers);
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
  const records = (await shown(page.rows, decorations)).join(",");
  const cursor = page.next ? `,"cursor":${JSON.stringify(encodeCursor(page.next))}` : "";
  return jsonText(`{"records":[${records}]${cursor}}`, 200, headers);
}

async function getRecord(
  uri: string,
  store: RecordStore,
  decorations: readonly Decoration[],
  headers: Record<string, string>,
): Promise<Reply> {
  const row = await store.get(uri);
  const [record] = row ? await shown([{ uri, record: row.record }], decorations) : [];
  if (record === undefined) throw new HttpError(404, "record not found");
  return jsonText(`{"record":${record}}`, 200, headers);
}

/** The records as JSON text, with what decorations add. */
async function shown(
  rows: readonly { uri: string; record: string }[],
  decorations: readonly Decoration[],
): Promise<string[]> {
  const records = rows.map(({ uri, record }) => recordWithUri(record, uri));
  if (decorations.length === 0) return records;
  const added = await Promise.all(decorations.map((each) => each.members(rows)));
  return rows.flatMap(({ uri }, i) => {
    const members = added.map((each) => each.get(uri));
    if (members.includes(null)) return [];
    return [withMembers(records[i] ?? "{}", Object.assign({}, ...members) as Record<string, string>)];
  });
}

/** Appended as text, unless the record may have a member of that name itself. */
function withMembers(record: string, members: Readonly<Record<string, string>>): string {
  return Object.entries(members).reduce((text, [name, json]) => {
    if (!text.includes(`"${name}"`)) return `${text.slice(0, -1)},"${name}":${json}}`;
    return JSON.stringify({ ...(JSON.parse(text) as object), [name]: JSON.parse(json) as unknown });
  }, record);
}
