import type { Database } from "../../core/db/database.ts";
import type { LexiconRegistry } from "../../core/lexicons/registry.ts";
import type { CheckContext, CheckNote } from "../../core/plugin.ts";
import type { SourceFile } from "../../core/resources/files.ts";
import { isKeyOperator } from "./compile.ts";
import { explainQuery, fieldsOf, type FieldQuery } from "./explain.ts";
import type { FieldIndex } from "./indexes.ts";
import { scriptQueries, type ScriptQuery } from "./lua/queries.ts";
import { FilterError, parseFilter, type Filter } from "./parse.ts";
import { parsePath, pathRule } from "./path.ts";

interface Checked {
  indexes: readonly FieldIndex[];
  lexicons: Pick<LexiconRegistry, "get" | "isTracked">;
}

/** Columns of every record, each of which has an index of its own. */
const columns: ReadonlySet<string> = new Set(["indexed_at", "did", "uri"]);

/**
 * For `happyview check`: what each index of the config serves, and for each query that a script writes down whether one
 * serves it. SQLite is asked, on an empty table; a database with statistics of its own may decide otherwise.
 */
export async function checkFilters({ api, db, files }: CheckContext<Checked>): Promise<CheckNote[]> {
  const notes = indexNotes(api);
  for (const file of files["scripts"] ?? []) {
    if (!file.path.endsWith(".lua")) continue;
    for (const query of scriptQueries(file.text, collectionOf(file, api.lexicons))) {
      const note = await queryNote(db, query, api.indexes);
      if (note) notes.push({ file: file.name, line: query.line, ...note });
    }
  }
  return notes;
}

function indexNotes({ indexes, lexicons }: Checked): CheckNote[] {
  const fields = new Map(
    indexes.map(({ collection, field }) => [`${collection} "${field.text}"`, collection]),
  );
  return [...fields].map(([name, collection]): CheckNote => {
    if (lexicons.isTracked(collection))
      return { level: "info", message: `the index on ${name} serves =, <, <=, >, >= and sorting` };
    return {
      level: "warning",
      message: `the index on ${name} has no records: no lexicon of the project is the record lexicon ${collection}`,
      hint: "correct the name, or add the lexicon to lexicons/; one that the server tracks from the network is good too",
    };
  });
}

/** What the global `collection` is in the script, and in record scripts too (lua §1.3, 3.2). */
function collectionOf({ path }: SourceFile, lexicons: Checked["lexicons"]): string | undefined {
  const [, kind, suffix = ""] = /^(record|xrpc)\.\w+\/([^/]+)\.lua$/.exec(path) ?? [];
  if (kind === "record") return suffix;
  return kind === "xrpc" ? (lexicons.get(suffix)?.targetCollection ?? undefined) : undefined;
}

async function queryNote(
  db: Database,
  query: ScriptQuery,
  indexes: readonly FieldIndex[],
): Promise<CheckNote | undefined> {
  const { call, unknown } = query;
  if (unknown === "its collection" && query.filter === undefined && query.sort === undefined)
    return undefined;
  if (unknown)
    return { level: "info", message: `${call}: only the run knows ${unknown}, nothing is said of its index` };
  try {
    const read = toFieldQuery(query);
    const fields = fieldsOf(read);
    if (fields.length === 0) return undefined;
    const { level, message, hint } = await readNote(db, read, indexes, query.byAuthor);
    return { level, message: `${call} of ${read.collection} by ${quoted(fields)}${message}`, hint };
  } catch (error) {
    if (error instanceof FilterError) return { level: "warning", message: `${call} fails: ${error.message}` };
    throw error;
  }
}

async function readNote(
  db: Database,
  read: FieldQuery,
  indexes: readonly FieldIndex[],
  byAuthor: boolean,
): Promise<CheckNote> {
  const explanation = await explainQuery(db, read, indexes);
  const used = indexes
    .filter(({ name }) => explanation.indexes.includes(name))
    .map(({ field }) => field.text);
  if (explanation.indexed) return { level: "info", message: `: served by the index on ${quoted(used)}` };
  const rows = byAuthor ? "every record of its author" : "every record of the collection";
  const own = new Set(indexes.flatMap((one) => (one.collection === read.collection ? [one.field.text] : [])));
  if (canBeServed(read, (field) => own.has(field))) {
    const some = quoted(fieldsOf(read).filter((field) => own.has(field)));
    const message = `: the index on ${some} can serve it, where the database expects it to be worth it; else it reads ${rows}`;
    return { level: "info", message };
  }
  if (!canBeServed(read, () => true))
    return { level: "info", message: ` reads ${rows}: no index serves LIKE, ILIKE, NOT LIKE and !=` };
  return {
    level: byAuthor ? "info" : "warning",
    message: `: no index serves it, it may read ${rows}`,
    hint: explanation.hint ?? undefined,
  };
}

/** @throws FilterError for what the call would raise */
function toFieldQuery(query: ScriptQuery): FieldQuery {
  const { collection = "", filter, direction } = query;
  const typed = query.call === "happyview.db";
  const path = query.sort === undefined ? undefined : parsePath(query.sort);
  if (query.sort !== undefined && !path) throw new FilterError(`invalid sort field: ${pathRule}`);
  return {
    collection,
    filter: filter === undefined ? undefined : parseFilter(filter, { typed }),
    sort: path && !columns.has(path.text) ? { by: path, direction } : undefined,
  };
}

/** Whether indexes on such fields can find the records, or give their order. */
function canBeServed({ filter, sort }: FieldQuery, hasIndex: (field: string) => boolean): boolean {
  const narrows = (node: Filter): boolean => {
    if (node.kind === "condition") return isKeyOperator(node.op) && hasIndex(node.field.text);
    return node.combine === "AND" ? node.children.some(narrows) : node.children.every(narrows);
  };
  return (filter !== undefined && narrows(filter)) || (sort !== undefined && hasIndex(sort.by.text));
}

function quoted(fields: readonly string[]): string {
  return [...new Set(fields)].map((field) => `"${field}"`).join(", ");
}
