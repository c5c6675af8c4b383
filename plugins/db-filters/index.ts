import { definePlugin, HttpError } from "../../core/index.ts";
import { filtersAdmin } from "./admin.ts";
import { checkFilters } from "./check.ts";
import { collectionCondition, compileFilter, type SqlCondition } from "./compile.ts";
import { applyIndexes, planIndexes } from "./indexes.ts";
import { parseJsonFilter } from "./json.ts";
import { FilterError, type Filter } from "./parse.ts";

export interface DbFiltersOptions {
  /**
   * Lists over XRPC that no script serves take `filter` as JSON in the query string. Anybody may then make the server
   * read a whole collection, unless every field that is asked for has an index. @default false
   */
  xrpc?: boolean;
  /**
   * Fields by collection that get an index, made at start and dropped when they are no longer listed.
   * @default {}
   * @example { "xyz.statusphere.status": ["status", "author.handle"] }
   */
  indexes?: Readonly<Record<string, readonly string[]>>;
}

/**
 * Filters over XRPC, and indexes for the filters of scripts, which work without this plugin too.
 * @example plugins: [dbFilters({ xrpc: true, indexes: { "xyz.statusphere.status": ["status"] } })]
 */
export const dbFilters = definePlugin({
  name: "db-filters",
  async setup(app, { xrpc = false, indexes = {} }: DbFiltersOptions) {
    const planned = planIndexes(indexes, { dialect: app.db.dialect, byArrival: xrpc });
    const { created, dropped } = await applyIndexes(app.db, planned);
    if (created.length + dropped.length > 0) app.log.info("field indexes changed", { created, dropped });
    filtersAdmin(app, planned);
    if (xrpc)
      app.xrpc.listCondition(({ collection, params }) => {
        const text = params["filter"];
        if (text === undefined || text === "") return undefined;
        const { sql, params: values } = compileFilter(readFilter(text), app.db.dialect);
        const own = collectionCondition(collection);
        return { sql: own ? `${own} AND ${sql}` : sql, params: values } satisfies SqlCondition;
      });
    return { indexes: planned, lexicons: app.lexicons };
  },
  check: checkFilters,
});

function readFilter(text: unknown): Filter {
  try {
    if (typeof text !== "string") throw new FilterError("filter must be one JSON text");
    return parseJsonFilter(text);
  } catch (error) {
    if (error instanceof FilterError) throw new HttpError(400, error.message);
    throw error;
  }
}
