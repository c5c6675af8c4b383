import type { PluginApp } from "../../core/index.ts";
import { Rejection } from "../../core/errors.ts";
import { requiredQuery } from "../../core/http/admin.ts";
import { explainQuery } from "./explain.ts";
import type { FieldIndex } from "./indexes.ts";
import { parseJsonFilter } from "./json.ts";
import { FilterError } from "./parse.ts";

/** `GET /admin/filters/explain?collection=&filter=`: the SQL of a filter, and whether an index serves it. */
export function filtersAdmin(app: Pick<PluginApp, "admin" | "db">, indexes: readonly FieldIndex[]): void {
  app.admin.route("GET /filters/explain", { permission: "records:read" }, ({ query }) => {
    const collection = requiredQuery(query, "collection");
    const text = requiredQuery(query, "filter");
    try {
      return explainQuery(app.db, { collection, filter: parseJsonFilter(text) }, indexes);
    } catch (error) {
      if (error instanceof FilterError) throw new Rejection(400, error.message);
      throw error;
    }
  });
}
