import type { Dialect } from "../../../core/db/database.ts";
import { SqlTokenError, tokenizeSql, type Token } from "./db-sql-tokens.ts";

const allowed: ReadonlySet<string> = new Set(
  [
    "records",
    "record_refs",
    "labels",
    "lexicons",
    "jobs",
    "spaces",
    "space_members",
    "space_records",
    "space_record_oplog",
    "space_notify_registrations",
    "space_dids",
  ].map((name) => `happyview_${name}`),
);

/** What runs a text of SQL, or changes what is a text, or lifts the time limit. */
const protectedWord =
  /^(?:standard_conforming_strings|escape_string_warning|statement_timeout|(?:query|table|schema|database|cursor)_to_xml.*|ts_stat|ts_rewrite|dblink.*|crosstab\w*|connectby|xpath_table)$/;
const protectedSetting = /^(?:standard_conforming_strings|escape_string_warning|statement_timeout)$/;
/** In statements that begin so, Postgres takes texts for code. */
const takesCode = /^(?:DO|CREATE|PREPARE|EXECUTE|EXPLAIN)$/;
/** Languages of functions other than SQL and PL/pgSQL, which run texts in ways of their own. */
const foreign = /^(?:pl(?!pgsql$)\w+|c|internal|java\w*)$/;
/** What may follow the text that PL/pgSQL's EXECUTE runs. */
const afterText = /^(?:;|INTO|USING|LOOP)$/;
const maxNesting = 8;

/** After these words and signs of SQLite a value follows, and no name. */
const beforeValues =
  /^(?:SELECT|DISTINCT|WHERE|AND|OR|NOT|WHEN|THEN|ELSE|CASE|HAVING|LIMIT|LIKE|GLOB|IS|BETWEEN|[=<>|+*/%-])$/;

/** The first name in the statements that is none of a script's business. */
export function protectedName(tokens: readonly Token[], dialect: Dialect): string | undefined {
  return dialect === "sqlite" ? nameOnSqlite(tokens) : nameOnPostgres(tokens, statement, 0);
}

/** SQLite takes a string for a name where it expects one, so that it must stand where only a value can. */
function nameOnSqlite(tokens: readonly Token[]): string | undefined {
  // A virtual table may read from one that its arguments name as they like.
  const isPragma = tokens.some(({ kind, value }) => kind === "word" && /^(?:pragma|virtual)$/i.test(value));
  const lists: boolean[] = [];
  for (const [i, { kind, value }] of tokens.entries()) {
    if (kind === "symbol" && value === "(") lists.push(opensList(tokens, i));
    else if (kind === "symbol" && value === ")") lists.pop();
    if ((kind === "word" || kind === "quoted") && isProtected(value)) return value;
    if (kind !== "string" || !isProtected(value)) continue;
    const before = plain(tokens[i - 1]);
    const isValue = beforeValues.test(before) || (lists.at(-1) === true && /^[(,]$/.test(before));
    if (!isValue || isPragma || plain(tokens[i + 1]) === ".") return value;
  }
  return undefined;
}

/** `VALUES (…)` and `IN (…)`, unless a query is inside. */
function opensList(tokens: readonly Token[], at: number): boolean {
  return (
    /^(?:VALUES|IN)$/.test(plain(tokens[at - 1])) &&
    !/^(?:SELECT|WITH|VALUES|\()$/.test(plain(tokens[at + 1]))
  );
}

/** Where a text stands. */
interface Place {
  /** Within the text of a function, of DO or the like, where texts may be run in turn. */
  isCode: boolean;
  /** It may be the text of a function or of DO itself, in PL/pgSQL. */
  isBody: boolean;
}

const statement: Place = { isCode: false, isBody: false };

function nameOnPostgres(tokens: readonly Token[], place: Place, depth: number): string | undefined {
  if (depth > maxNesting) throw new SqlTokenError("db.raw could not parse SQL: texts are nested too deeply");
  const words = new Set(tokens.filter(isName).map(({ value }) => value.toLowerCase()));
  // To write to this view is to set what it shows.
  if (words.has("pg_settings") && words.has("update")) return "pg_settings";
  const isBody = tokens.some((_, i) => makesCode(tokens, i));
  let first = "";
  let text = "";
  for (const [i, token] of tokens.entries()) {
    const { kind, value } = token;
    if (kind === "symbol" && value === ";") first = "";
    else first ||= plain(token) || "?";
    if (place.isBody && plain(token) === "EXECUTE" && !runsOneText(tokens, i))
      throw new SqlTokenError(
        "db.raw cannot run SQL that is put together at run time: give EXECUTE a single string",
      );
    const language = isBody && plain(token) === "LANGUAGE" ? tokens[i + 1]?.value.toLowerCase() : undefined;
    if (language !== undefined && foreign.test(language))
      throw new SqlTokenError(`db.raw cannot read functions in ${language}: write them in SQL or PL/pgSQL`);
    if (isName(token)) {
      const lower = value.toLowerCase();
      if (isProtected(value) || protectedWord.test(lower)) return value;
      const setting = lower === "set_config" ? settingOf(tokens, i) : "";
      if (setting === undefined) return value;
      if (protectedSetting.test(setting.toLowerCase())) return setting;
    }
    // Strings that follow each other are one.
    text = kind === "string" ? text + value : kind === "body" ? value : "";
    if (kind !== "string" && kind !== "body") continue;
    if (!place.isCode && !takesCode.test(first)) continue;
    const inside = { isCode: true, isBody };
    const inner =
      kind === "string"
        ? nameInText(text, inside, depth)
        : nameOnPostgres(tokenizeSql(text, "postgres"), inside, depth + 1);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

/** A string may be code or none: what is no SQL is only searched. */
function nameInText(text: string, place: Place, depth: number): string | undefined {
  const found = text.match(/(?:happyview_|_sqlx_migrations)\w*/gi)?.find(isProtected);
  if (found !== undefined) return found;
  if (/u&['"]/i.test(text)) throw new SqlTokenError("db.raw does not allow unicode-escaped identifiers");
  let tokens: Token[];
  try {
    tokens = tokenizeSql(text, "postgres");
  } catch (error) {
    if (error instanceof SqlTokenError) return undefined;
    throw error;
  }
  return nameOnPostgres(tokens, place, depth + 1);
}

/** `DO` and `CREATE [OR REPLACE] FUNCTION`, whose texts are code. `ON CONFLICT DO …` has none. */
function makesCode(tokens: readonly Token[], at: number): boolean {
  const [first, second, , fourth] = tokens.slice(at, at + 4).map(plain);
  if (first === "DO") return second === "" || second === "LANGUAGE";
  const made = second === "OR" ? fourth : second;
  return first === "CREATE" && (made === "FUNCTION" || made === "PROCEDURE");
}

/** `EXECUTE 'text'`, also in brackets; `GRANT EXECUTE ON …` runs nothing. */
function runsOneText(tokens: readonly Token[], execute: number): boolean {
  let at = execute + 1;
  if (plain(tokens[at]) === "ON") return true;
  let open = 0;
  for (; plain(tokens[at]) === "("; at++) open++;
  const start = at;
  while (tokens[at]?.kind === "string" || tokens[at]?.kind === "body") at++;
  if (at === start) return false;
  for (; open > 0 && plain(tokens[at]) === ")"; at++) open--;
  return open === 0 && (tokens[at] === undefined || afterText.test(plain(tokens[at])));
}

/** What a call sets, unless that is put together where it cannot be seen. */
function settingOf(tokens: readonly Token[], at: number): string | undefined {
  const [open, name, comma] = tokens.slice(at + 1, at + 4);
  const isText = name?.kind === "string" || name?.kind === "body";
  return isText && plain(open) === "(" && plain(comma) === "," ? name.value : undefined;
}

function isName({ kind }: Token): boolean {
  return kind === "word" || kind === "quoted";
}

/** A word in capitals, or a sign. */
function plain(token: Token | undefined): string {
  return token?.kind === "word" || token?.kind === "symbol" ? token.value.toUpperCase() : "";
}

function isProtected(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === "_sqlx_migrations" || (lower.startsWith("happyview_") && !allowed.has(lower));
}
