import { isLocal } from "../../core/config/resolve.ts";
import { definePlugin } from "../../core/index.ts";
import { deadLetters } from "../dead-letters/index.ts";
import { dpopSessions } from "../dpop-sessions/index.ts";
import { jobs } from "../jobs/index.ts";
import { scriptsAdmin } from "./admin.ts";
import { loadSigner } from "./attestation/key.ts";
import { createAttempts } from "./attempts.ts";
import { createBudgets } from "./budgets.ts";
import type { Limits } from "./engine/engine.ts";
import type { EngineName } from "./worker/protocol.ts";
import { createPool, type Pool } from "./engine/pool.ts";
import { createBlobs, maxBlobBytes } from "./host/blobs.ts";
import { createHostedPool } from "./host/index.ts";
import { createScriptFetch } from "./host/outgoing.ts";
import type { PdsWriter } from "./host/pds.ts";
import { luaJobs } from "./job.ts";
import { labelScripts } from "./label.ts";
import { migrations } from "./migrations.ts";
import { procedureScripts } from "./procedure.ts";
import { queryScripts } from "./query.ts";
import { recordLetters } from "./record-letters.ts";
import { recordScripts } from "./record.ts";
import { createReports } from "./report.ts";
import { scriptResource } from "./resource.ts";
import { createScripts } from "./scripts.ts";
import { testCommand } from "./testing/command.ts";
import { createVariables } from "./variables.ts";

export interface LuaScriptsOptions {
  /** Lua 5.4, or for hosts without WebAssembly the package `fengari`, see docs/lua-engines.md. @default "lua54" */
  engine?: EngineName;
  /** Threads that run scripts. @default one less than the cores, between 2 and 4 */
  workers?: number;
  /**
   * What one run may use. The settings `script_instruction_limit` and, for queries and procedures,
   * `script_wall_clock_seconds` win over it where they are stored or in the environment; jobs have neither limit.
   * @default 50 million instructions, 64 MiB, 10 s for queries and 30 s for records; of `db.raw` 10,000 rows and 32 MiB
   * a call and 10 s in all, or a call in jobs
   */
  limits?: Partial<Limits>;
  /** Waits between the attempts of a record script, in milliseconds. @default [1000, 2000, 4000] */
  retryDelaysMs?: readonly number[];
  http?: {
    /**
     * Hosts that scripts may reach although their address is private or loopback: `meilisearch.internal:7700`, or
     * `*` for every host. The environment variable SCRIPT_HTTP_ALLOW (comma-separated) wins. @default none
     */
    allow?: readonly string[];
    /** What one request may take in milliseconds, with its redirects and its body; in jobs at least ten minutes. @default 30_000 */
    timeoutMs?: number;
  };
  /** Writes to the repos of callers, for `Record:save()` in procedures. @default the sessions of dpopSessions(); without it `Record` works locally only */
  pds?: PdsWriter;
  /** False leaves scripts without `atproto.sign` and `atproto.verify_signature`. @default true */
  attestation?: boolean;
}

/**
 * Runs Lua 5.4 scripts by trigger: before a record or label is stored, for queries, and as jobs. Scripts come from
 * `scripts/` and from `/admin/scripts`.
 * @example plugins: [firehose(), luaScripts({ limits: { memoryBytes: 32 * 1024 * 1024 } })]
 */
export const luaScripts = definePlugin({
  name: "lua-scripts",
  wants: { letters: deadLetters, jobs, sessions: dpopSessions },
  migrations,
  async setup(app, options: LuaScriptsOptions, { letters, jobs, sessions }) {
    const open = (workers: number | undefined, isSpread = false): Pool => {
      const pool = createPool({
        database: app.db.source,
        log: app.log,
        isSpread,
        ...(options.engine === undefined ? {} : { engine: options.engine }),
        ...(workers === undefined ? {} : { workers }),
        ...(options.limits === undefined ? {} : { limits: options.limits }),
      });
      app.onClose(() => pool.close());
      return pool;
    };
    const pds = options.pds ?? sessions?.writer;
    const bare = open(options.workers);
    const scripts = await createScripts(app);
    const allow = app.config.env["SCRIPT_HTTP_ALLOW"]?.split(",").map((host) => host.trim());
    const allowed = allow ?? options.http?.allow ?? [];
    const fetch = createScriptFetch({ allow: allowed });
    // On a developer's machine the hosts of accounts are there too.
    const blobFetch = createScriptFetch({
      allow: isLocal(app.config) ? ["*"] : allowed,
      maxResponseBytes: maxBlobBytes,
    });
    const signer = options.attestation === false ? undefined : await loadSigner(app);
    const budgets = createBudgets(app);
    const blobs = createBlobs({ identity: app.identity, fetch: blobFetch });
    const httpTimeoutMs = options.http?.timeoutMs;
    const host = { app, scripts, budgets, fetch, httpTimeoutMs, blobs, jobs, signer };
    const pool = createHostedPool(bare, host);
    const variables = await createVariables(app);
    const reports = createReports(app, variables);
    const parts = { app, scripts, variables, pool, reports };
    const delays = options.retryDelaysMs;
    const attempts = createAttempts({
      app,
      letters,
      reports,
      ...(delays === undefined ? {} : { retryDelaysMs: delays }),
    });
    app.records.pipeline.intercept(recordScripts({ ...parts, attempts }));
    letters?.retryWith("record", recordLetters(parts));
    if (jobs) {
      // Jobs have no time limit: on threads of their own they hold up no record, label or request.
      const jobPool = createHostedPool(open(Math.max(1, jobs.workers), true), host);
      jobs.fallback(luaJobs({ ...parts, pool: jobPool, sessions: pds }));
    }
    app.xrpc.resolve(queryScripts(parts));
    app.xrpc.resolve(procedureScripts({ ...parts, pds }));
    app.resource(scriptResource(scripts, pool));
    scriptsAdmin(app, scripts, pool);
    return { scripts, pool, applyLabel: labelScripts({ ...parts, attempts }) };
  },
  commands: { test: testCommand },
});
