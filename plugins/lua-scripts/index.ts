import { definePlugin } from "../../core/index.ts";
import { scriptsAdmin } from "./admin.ts";
import type { Limits } from "./engine/engine.ts";
import { createPool } from "./engine/pool.ts";
import { migrations } from "./migrations.ts";
import { queryScripts } from "./query.ts";
import { recordScripts } from "./record.ts";
import { scriptResource } from "./resource.ts";
import { createScripts } from "./scripts.ts";
import { createVariables } from "./variables.ts";

export interface LuaScriptsOptions {
  /** Threads that run scripts. @default one less than the cores, between 2 and 4 */
  workers?: number;
  /** What one run may use. @default 50 million instructions, 64 MiB, 10 s for queries and 30 s for records */
  limits?: Partial<Limits>;
  /** Waits between the attempts of a record script, in milliseconds. @default [1000, 2000, 4000] */
  retryDelaysMs?: readonly number[];
}

/**
 * Runs Lua 5.4 scripts by trigger: before a record is stored, and for queries. Scripts come from `scripts/` and from
 * `/admin/scripts`.
 * @example plugins: [firehose(), luaScripts({ limits: { memoryBytes: 32 * 1024 * 1024 } })]
 */
export const luaScripts = definePlugin({
  name: "lua-scripts",
  migrations,
  async setup(app, options: LuaScriptsOptions) {
    const pool = createPool({
      database: app.db.source,
      log: app.log,
      ...(options.workers === undefined ? {} : { workers: options.workers }),
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    });
    app.onClose(() => pool.close());
    const scripts = await createScripts(app);
    const variables = await createVariables(app);
    const parts = { app, scripts, variables, pool };
    const delays = options.retryDelaysMs;
    app.records.pipeline.intercept(
      recordScripts({ ...parts, ...(delays === undefined ? {} : { retryDelaysMs: delays }) }),
    );
    app.xrpc.resolve(queryScripts(parts));
    app.resource(scriptResource(scripts, pool));
    scriptsAdmin(app, scripts, pool);
    return { scripts };
  },
});
