import { legacyViews } from "../../../core/db/views.ts";
import type { Dialect } from "../../../core/db/database.ts";
import { ScriptError } from "../engine/engine.ts";
import { protectedName } from "./db-raw-guard.ts";
import { SqlTokenError, tokenizeSql, type Token } from "./db-sql-tokens.ts";

/** One statement as the database gets it. */
export interface RawStatement {
  sql: string;
  /** The highest number among its parameters, which are `?1` on SQLite and `$1` on Postgres. */
  params: number;
}

/** What a script gave to `db.raw`, judged and made ready. */
export interface RawBatch {
  statements: readonly RawStatement[];
  /** It changes the connection itself, which must be made anew or reset afterwards. */
  changesConnection: boolean;
}

interface Edit {
  start: number;
  end: number;
  text: string;
}

/** SQLite takes no ON CONFLICT for a view: these are the views. */
export const viewColumns: Readonly<Record<string, readonly string[]>> = legacyViews;

const begins = /^(BEGIN|START)$/;
const ends = /^(COMMIT|END|ROLLBACK|ABORT)$/;
const changes = /^(BEGIN|START|SET|RESET|PRAGMA|ATTACH|DETACH|DISCARD|DO|CALL)$/;
/** Words, anywhere in a statement, for what stays on the connection. */
const stays = /^(SET_CONFIG|SET|TEMP|TEMPORARY|PG_TEMP.*|LISTEN|PREPARE|DECLARE|PG_(TRY_)?ADVISORY.*)$/;

/** Refuses what a script may not name, and writes the statements in the words of the database. */
export function prepareRaw(sql: string, dialect: Dialect, hasParams: boolean): RawBatch {
  try {
    return prepare(sql, dialect, hasParams);
  } catch (error) {
    if (error instanceof SqlTokenError) throw new ScriptError(error.message, { cause: error });
    throw error;
  }
}

function prepare(sql: string, dialect: Dialect, hasParams: boolean): RawBatch {
  const tokens = tokenizeSql(sql, dialect);
  const name = protectedName(tokens, dialect);
  if (name !== undefined)
    throw new ScriptError(`db.raw cannot reference the protected internal HappyView table '${name}'`);
  const parts = splitStatements(tokens);
  refuseOpenTransaction(parts);
  const numbered = numberParams(tokens, dialect, hasParams);
  const statements = parts.map((part) => {
    const edits = [...numbered.filter(({ start }) => isWithin(start, part)), ...upsertEdits(part, dialect)];
    const marks = edits.flatMap(({ text }) => /^[?$](\d+)$/.exec(text)?.[1] ?? []);
    return { sql: applyEdits(sql, part, edits), params: Math.max(0, ...marks.map(Number)) };
  });
  return { statements, changesConnection: parts.some(changesConnection) };
}

function changesConnection(part: readonly Token[]): boolean {
  if (changes.test(firstWord(part))) return true;
  let isUpdate = false;
  return part.some(({ kind, value }) => {
    if (kind !== "word" && kind !== "quoted") return false;
    const word = value.toUpperCase();
    if (word === "UPDATE") isUpdate = true;
    // UPDATE … SET sets no setting.
    return stays.test(word) && !(word === "SET" && isUpdate);
  });
}

/** At semicolons, except within the body of a trigger. */
function splitStatements(tokens: readonly Token[]): Token[][] {
  const parts: Token[][] = [];
  let part: Token[] = [];
  let cases = 0;
  let isEnd = false;
  for (const token of tokens) {
    const word = token.kind === "word" ? token.value.toUpperCase() : "";
    if (token.kind !== "symbol" || token.value !== ";" || (isTriggerBody(part) && !isEnd)) part.push(token);
    else {
      if (part.length > 0) parts.push(part);
      part = [];
    }
    // An END that closes no CASE closes the trigger.
    isEnd = word === "END" && cases === 0;
    if (word === "CASE") cases += 1;
    else if (word === "END" && cases > 0) cases -= 1;
  }
  if (part.length > 0) parts.push(part);
  return parts;
}

function isTriggerBody(part: readonly Token[]): boolean {
  const words = part.filter(({ kind }) => kind === "word").map(({ value }) => value.toUpperCase());
  return words[0] === "CREATE" && words.slice(1, 3).includes("TRIGGER") && words.includes("BEGIN");
}

/** The next call may be another script's. */
function refuseOpenTransaction(parts: readonly (readonly Token[])[]): void {
  let isOpen = false;
  for (const part of parts) {
    const word = firstWord(part);
    if (begins.test(word) || word === "SAVEPOINT") isOpen = true;
    else if (ends.test(word) || word === "RELEASE") isOpen = false;
  }
  if (isOpen)
    throw new ScriptError(
      "db.raw query failed: a transaction must end in the call that begins it; put its statements into one text",
    );
}

/**
 * `?` and `$1` on both databases. On Postgres a lone `?` is also an operator: it is one where the statement has
 * parameters by number, or none at all.
 */
function numberParams(tokens: readonly Token[], dialect: Dialect, hasParams: boolean): Edit[] {
  const marks = tokens.filter(({ kind }) => kind === "param");
  const hasNumbers = marks.some(({ value }) => value.startsWith("$"));
  if (dialect === "postgres" && (hasNumbers || !hasParams))
    return marks
      .filter(({ value }) => value.startsWith("$"))
      .map(({ start, end, value }) => ({ start, end, text: value }));
  let last = 0;
  return marks.map(({ start, end, value }) => {
    const number = value === "?" ? last + 1 : Number(value.slice(1));
    last = Math.max(last, number);
    return { start, end, text: `${dialect === "sqlite" ? "?" : "$"}${number}` };
  });
}

/** `INSERT INTO records … ON CONFLICT …` → `INSERT INTO happyview_records AS records …`. */
function upsertEdits(part: readonly Token[], dialect: Dialect): Edit[] {
  if (dialect !== "sqlite") return [];
  const words = part.map(({ kind, value }) => (kind === "word" ? value.toUpperCase() : ""));
  if (!words.some((word, i) => word === "ON" && words[i + 1] === "CONFLICT")) return [];
  const into = words.indexOf("INTO");
  const at = part[into + 2]?.value === "." ? into + 3 : into + 1;
  const target = part[at];
  if (into < 0 || !target || (target.kind !== "word" && target.kind !== "quoted")) return [];
  const name = target.value.toLowerCase();
  const columns = Object.hasOwn(viewColumns, name) ? viewColumns[name] : undefined;
  if (!columns) return [];
  const hasAlias = words[at + 1] === "AS";
  const hasColumns = part[hasAlias ? at + 3 : at + 1]?.value === "(";
  // The table has more columns than the view, so that they must be named.
  const list = hasColumns || hasAlias ? "" : ` (${columns.join(", ")})`;
  const text = `happyview_${name}${hasAlias ? "" : ` AS ${name}`}${list}`;
  return [{ start: target.start, end: target.end, text }];
}

function applyEdits(sql: string, part: readonly Token[], edits: readonly Edit[]): string {
  let at = part[0]?.start ?? 0;
  const end = part.at(-1)?.end ?? 0;
  let text = "";
  for (const edit of edits.toSorted((a, b) => a.start - b.start)) {
    text += sql.slice(at, edit.start) + edit.text;
    at = edit.end;
  }
  return text + sql.slice(at, end);
}

function isWithin(start: number, part: readonly Token[]): boolean {
  return start >= (part[0]?.start ?? 0) && start < (part.at(-1)?.end ?? 0);
}

function firstWord(part: readonly Token[]): string {
  return part[0]?.kind === "word" ? part[0].value.toUpperCase() : "";
}
