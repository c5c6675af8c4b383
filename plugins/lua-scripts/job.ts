import { explain } from "../../core/errors.ts";
import { isObject } from "../../core/lexicons/document.ts";
import { anonymous, type Caller } from "../../core/http/caller.ts";
import { rawJson, type JobHandler, type JobsApi, type RunningJob } from "../jobs/index.ts";
import { ScriptError } from "./engine/engine.ts";
import { jsonResult, type HostFunctions, type JsonValue } from "./engine/host.ts";
import type { HostedPool } from "./host/index.ts";
import type { PdsSession, PdsWriter } from "./host/pds.ts";
import type { Mask } from "./mask.ts";
import { located, type Reports } from "./report.ts";
import { toSource, type Scripts } from "./scripts.ts";
import type { Variables } from "./variables.ts";

export interface LuaJobParts {
  reports: Reports;
  scripts: Scripts;
  variables: Variables;
  pool: Pick<HostedPool, "run">;
  /** Without one a job that was created with `{ auth = true }` fails. */
  sessions?: PdsWriter | undefined;
}

/** Runs the script of `job.run:<type>`: one attempt, without an instruction or time limit (lua §1.7). */
export function luaJobs({ reports, scripts, variables, pool, sessions }: LuaJobParts): JobHandler {
  return async (job) => {
    const trigger = `job.run:${job.type}`;
    const script = scripts.get(trigger);
    if (!script) throw new Error(`no script found for trigger: ${trigger}`);
    const createdBy = job.createdBy ?? "";
    const caller: Caller = { ...anonymous, did: job.createdBy };
    const session = job.auth ? await sessionOf(caller, sessions) : undefined;
    const begun = performance.now();
    const outcome = await pool.run(
      {
        kind: "job",
        script: toSource(script),
        env: variables.env(),
        job: { id: job.id, input: job.inputText, createdBy },
      },
      { signal: job.signal, host: jobFunctions(job, reports.mask), actor: { caller, session, nesting: 0 } },
    );
    reports.lines(script, job.createdBy, outcome);
    if (outcome.kind === "error") {
      const error = reports.masked(outcome.error);
      const durationMs = performance.now() - begun;
      const failed = { script, error, outcome, input: job.inputText, actor: job.createdBy, durationMs };
      reports.failed(failed, { job_id: job.id });
      throw new Error(`${error.type}: ${located(error, script)}`);
    }
    return rawJson(outcome.kind === "nil" ? "null" : outcome.json);
  };
}

/** The session of a job's creator, loaded when it runs: it may have ended since the job was created. */
async function sessionOf(caller: Caller, sessions: PdsWriter | undefined): Promise<PdsSession> {
  let reason = "no plugin of this instance keeps sessions";
  try {
    const session = await sessions?.session({ caller });
    if (session) return session;
    if (sessions) reason = "it has no session";
  } catch (error) {
    reason = explain(error);
  }
  throw new Error(`failed to obtain PDS auth for ${caller.did}: ${reason}`);
}

/** `jobs.create` and what reads jobs, for a script that acts as `callerDid` (lua §4.9, 5.3). */
export function jobsFunctions(jobs: JobsApi | undefined, callerDid: string | undefined): HostFunctions {
  const queue = (fn: string): JobsApi => {
    if (jobs) return jobs;
    throw new ScriptError(`${fn} failed: the jobs plugin is not in the config`);
  };
  const found = (json: string | undefined): unknown => (json === undefined ? undefined : jsonResult(json));
  return {
    // A job of somebody else is as good as none.
    "jobs.get": async ([id]) => {
      const all = queue("jobs.get");
      return callerDid ? found(await all.get(String(id), { createdBy: callerDid })) : undefined;
    },
    "jobs.get_any": async ([id]) => found(await queue("jobs.get_any").get(String(id))),
    "jobs.list_any": async ([options]) => {
      try {
        return jsonResult(await queue("jobs.list_any").list(toJobFilter(options)));
      } catch (error) {
        throw error instanceof RangeError ? new ScriptError(error.message) : error;
      }
    },
    "jobs.create": async ([type, input, auth]) => {
      if (!callerDid) throw new ScriptError("jobs.create requires an authenticated caller");
      if (!jobs) throw new ScriptError("jobs.create failed: the jobs plugin is not in the config");
      try {
        // The Lua side has encoded the input already.
        return await jobs.create(String(type), rawJson(String(input)), {
          createdBy: callerDid,
          auth: auth === true,
        });
      } catch (error) {
        throw new ScriptError(
          error instanceof TypeError ? error.message : `jobs.create failed: ${explain(error)}`,
        );
      }
    },
  };
}

/** What is of another type counts as absent (lua §2.7). */
function toJobFilter(options: JsonValue | undefined): Parameters<JobsApi["list"]>[0] {
  const { status, job_type: type, limit } = isObject(options) ? options : {};
  const statuses = (Array.isArray(status) ? status : [status]).filter((each) => typeof each === "string");
  const count = Math.trunc(Number(typeof limit === "number" || typeof limit === "string" ? limit : 50));
  return {
    statuses,
    type: typeof type === "string" ? type : undefined,
    limit: Number.isNaN(count) ? 50 : Math.max(count, 1),
  };
}

/** The functions of the script's `job`. */
function jobFunctions(job: RunningJob, mask: Mask): HostFunctions {
  return {
    "job.progress": async ([json]) => {
      try {
        await job.progress(rawJson(String(json)));
      } catch (error) {
        throw new ScriptError(`job.progress failed: ${explain(error)}`);
      }
    },
    "job.should_stop": () => job.shouldStop(),
    "job.wait": ([seconds]) => job.wait(Number(seconds)),
    "job.log": ([level, message]) => {
      const text = mask(String(message));
      return level === "info" ? job.log(text) : job.warn(text);
    },
  };
}
