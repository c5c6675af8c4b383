import { constantsOf } from "./constants.ts";
import { luaTokens } from "./tokens.ts";
import { LuaReader, type LuaValue } from "./values.ts";

/** A call of a script that reads records, as its text has it. */
export interface ScriptQuery {
  line: number;
  call: "db.query" | "db.search" | "happyview.db";
  collection: string | undefined;
  /** As `parseFilter` takes it; a value that only the run knows is the text "?". */
  filter: unknown;
  sort: string | undefined;
  direction: "ASC" | "DESC";
  /** It asks for the records of one author, unless that is nil. */
  byAuthor: boolean;
  /** What only the run knows, so that nothing can be said about the call. */
  unknown: "its options" | "its collection" | "its filter" | "its sort" | undefined;
}

const filterDepth = 8;

/**
 * The queries that a script writes down: `db.query{…}`, `db.search{…}`, and the chains of `happyview.db`. A call by
 * another name is not seen. `collection` is the value of the global of that name, where it is known.
 */
export function scriptQueries(source: string, collection: string | undefined): ScriptQuery[] {
  const tokens = luaTokens(source);
  const names = constantsOf(tokens);
  if (collection !== undefined && !names.has("collection"))
    names.set("collection", { kind: "string", text: collection });
  const hasChains = source.includes("happyview.db");
  const reader = new LuaReader(tokens, names);
  const queries: ScriptQuery[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const line = tokens[at]?.line ?? 0;
    const isMember = [".", ":"].includes(tokens[at - 1]?.text ?? "");
    reader.moveTo(at);
    if (!isMember && reader.take("db", ".", "query")) queries.push(...queryCall(reader, line));
    else if (!isMember && reader.take("db", ".", "search")) queries.push(...searchCall(reader, line));
    else if (hasChains && reader.take(".", "records")) queries.push(...chain(reader, line));
  }
  return queries;
}

/** `pcall(db.query, {…})` is one too. */
function optionsOf(reader: LuaReader): LuaValue[] | undefined {
  if (reader.next("=")) return undefined; // somebody replaces it
  if (reader.take(",")) return reader.next("{") ? reader.callArguments() : [{ kind: "unknown" }];
  return reader.callArguments() ?? [{ kind: "unknown" }];
}

function queryCall(reader: LuaReader, line: number): ScriptQuery[] {
  const [options] = optionsOf(reader) ?? [];
  if (!options) return [];
  const base = { line, call: "db.query", ...nothing } as const;
  if (options.kind !== "table") return [{ ...base, unknown: "its options" }];
  const { fields } = options;
  const filter = toFilter(fields.get("filter"), 0);
  const sort = textOf(fields.get("sort"));
  const direction = textOf(fields.get("sortDirection")) === "asc" ? "ASC" : "DESC";
  const collection = textOf(fields.get("collection"));
  return [
    {
      ...base,
      collection,
      filter: filter.input,
      sort,
      direction,
      byAuthor: isGiven(fields.get("did")),
      unknown: !filter.isKnown
        ? "its filter"
        : isHidden(fields.get("sort"), sort)
          ? "its sort"
          : collection === undefined
            ? "its collection"
            : undefined,
    },
  ];
}

/** With a table of options (2.9), or with the collection, the field and the text (version 3). */
function searchCall(reader: LuaReader, line: number): ScriptQuery[] {
  const given = optionsOf(reader);
  if (!given) return [];
  const [first, second] = given;
  const table = first?.kind === "table" ? first.fields : undefined;
  const collection = textOf(table ? table.get("collection") : first);
  const field = textOf(table ? table.get("field") : second);
  const base = { line, call: "db.search", ...nothing } as const;
  if (field === undefined) return [{ ...base, unknown: "its options" }];
  const filter = { field, op: "LIKE", value: "%?%" };
  return [{ ...base, collection, filter, unknown: collection === undefined ? "its collection" : undefined }];
}

/** `db.records("…"):where("field", "=", value):sort("field", "asc")`, as far as it is written in one go. */
function chain(reader: LuaReader, line: number): ScriptQuery[] {
  const given = reader.callArguments();
  if (!given) return [];
  const collection = textOf(given[0]);
  const conditions: unknown[] = [];
  const query: ScriptQuery = { line, call: "happyview.db", ...nothing, collection };
  while (reader.take(":")) {
    const step = reader.token?.text;
    reader.at++;
    const [first, second, third] = reader.callArguments() ?? [];
    if (step === "where" && isGiven(third)) {
      const field = textOf(first);
      const op = textOf(second);
      if (field === undefined || op === undefined) query.unknown = "its filter";
      else conditions.push({ field, op, value: sample(third) });
    }
    if (step === "did" && isGiven(first)) query.byAuthor = true;
    if (step === "sort" && first && isGiven(first)) {
      query.sort = textOf(first);
      if (query.sort === undefined) query.unknown ??= "its sort";
      query.direction = textOf(second)?.toLowerCase() === "asc" ? "ASC" : "DESC";
    }
  }
  if (conditions.length > 0) query.filter = conditions;
  if (collection === undefined) query.unknown ??= "its collection";
  return [query];
}

const nothing = {
  collection: undefined,
  filter: undefined,
  sort: undefined,
  direction: "DESC",
  byAuthor: false,
  unknown: undefined,
} as const satisfies Partial<ScriptQuery>;

/** A filter as plain data: what is no table is no filter (lua §4.1). */
function toFilter(value: LuaValue | undefined, depth: number): { input: unknown; isKnown: boolean } {
  if (value?.kind === "unknown" || depth > filterDepth) return { input: undefined, isKnown: false };
  if (value?.kind !== "table") return { input: undefined, isKnown: true };
  const { fields, items } = value;
  const field = fields.get("field");
  const op = fields.get("op");
  const combine = fields.get("combine");
  if ([field, op, combine].some((each) => each?.kind === "unknown"))
    return { input: undefined, isKnown: false };
  const words = { op: textOf(op), combine: textOf(combine) };
  if (field?.kind === "string")
    return { input: { ...words, field: field.text, value: sample(fields.get("value")) }, isKnown: true };
  const conditions = fields.get("conditions");
  const inner = items.length > 0 ? items : conditions?.kind === "table" ? conditions.items : [];
  const children = inner.map((item) => toFilter(item, depth + 1));
  const isKnown = conditions?.kind !== "unknown" && children.every((child) => child.isKnown);
  const group = { ...words, ...(items.length > 0 ? { op: undefined } : {}) };
  return { input: { ...group, conditions: children.map(({ input }) => input) }, isKnown };
}

/** A value of the same type; a value that only the run knows is most often a text. */
function sample(value: LuaValue | undefined): unknown {
  switch (value?.kind) {
    case "string":
      return value.text;
    case "number":
      return 1;
    case "boolean":
      return true;
    case "unknown":
      return "?";
    default:
      return undefined;
  }
}

function textOf(value: LuaValue | undefined): string | undefined {
  return value?.kind === "string" ? value.text : undefined;
}

function isGiven(value: LuaValue | undefined): boolean {
  return value !== undefined && value.kind !== "nil";
}

function isHidden(value: LuaValue | undefined, text: string | undefined): boolean {
  return value?.kind === "unknown" && text === undefined;
}
