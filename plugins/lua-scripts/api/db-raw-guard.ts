import type { Dialect } from "../../../core/db/database.ts";
import { tokenizeSql, type Token } from "./db-sql-tokens.ts";

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

/** After these words of SQLite a name may follow, until one of the others ends that. */
const beforeNames: ReadonlySet<string> = new Set([
  "FROM",
  "JOIN",
  "INTO",
  "UPDATE",
  "TABLE",
  "INDEX",
  "EXISTS",
]);
const afterNames: ReadonlySet<string> = new Set(
  "SELECT WHERE ON SET VALUES USING GROUP ORDER HAVING LIMIT IN AND OR CASE WHEN THEN ELSE AS".split(" "),
);

/** The first name in the statements that is none of a script's business. */
export function protectedName(tokens: readonly Token[], dialect: Dialect): string | undefined {
  const first = tokens.find((token) => token.kind === "word")?.value.toUpperCase() ?? "";
  let isName = false;
  for (const { kind, value } of tokens) {
    if (kind === "word") {
      const upper = value.toUpperCase();
      if (beforeNames.has(upper)) isName = true;
      else if (afterNames.has(upper)) isName = false;
    }
    if ((kind === "word" || kind === "quoted") && isProtected(value)) return value;
    // SQLite takes a string for a name where it expects one.
    if (kind === "string" && dialect === "sqlite" && isName && isProtected(value)) return value;
    // The text of a function or of DO is code, elsewhere it is a string.
    if (kind === "body" && /^(DO|CREATE)$/.test(first)) {
      const inner = protectedName(tokenizeSql(value, dialect), dialect);
      if (inner !== undefined) return inner;
    }
  }
  return undefined;
}

function isProtected(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === "_sqlx_migrations" || (lower.startsWith("happyview_") && !allowed.has(lower));
}
