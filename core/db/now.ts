import type { Queries } from "./database.ts";

/** The database's own time in Unix milliseconds, as SQL: the clocks of several machines need not agree. */
export function databaseNow({ dialect }: Pick<Queries, "dialect">): string {
  return dialect === "sqlite"
    ? "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    : "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
}
