import { explain } from "../../core/errors.ts";
import { isObject } from "../../core/lexicons/document.ts";
import { anonymous, type Caller } from "../../core/http/caller.ts";
import type { PluginApp } from "../../core/index.ts";
import { rawJson, type JobHandler, type JobsApi, type RunningJob } from "../jobs/index.ts";
import { emitLogs, located } from "./attempts.ts";
import { ScriptError } from "./engine/engine.ts";
import { jsonResult, type HostFunctions } from "./engine/host.ts";
import type { HostedPool } from "./host/index.ts";
import type { PdsSession, PdsWriter } from "./host/pds.ts";
import type { Scripts } from "./scripts.ts";
import type { Variables } from "./variables.ts";

export interface LuaJobParts {
  app: Pick<PluginApp, "events">;
  scripts: Scripts;
  variables: Variables;
  pool: Pick<HostedPool, "run">;
  /** Without one a job that was created with `{ auth = true }` fails. */
  sessions?: PdsWriter | undefined;
}

/** Runs the script of `job.run:<type>`: one attempt, without an instruction or time limit (lua §1.7). */
export function luaJobs({ app, scripts, variables, pool, sessions }: LuaJobParts): JobHandler {
  return async (job) => {
    const trigger = `job.run:${job.type}`;
    const script = scripts.get(trigger);
    if (!script) throw new Error(`no script found for trigger: ${trigger}`);
    const createdBy = job.createdBy ?? "";
    const caller: Caller = { ...anonymous, did: job.createdBy };
    const session = job.auth ? await sessionOf(caller, sessions) : undefined;
    const outcome = await pool.run(
      {
        kind: "job",
        script: { trigger, body: script.body },
        env: variables.env(),
        job: { id: job.id, input: job.inputText, createdBy },
      },
      { signal: job.signal, host: jobFunctions(job), actor: { caller, session, nesting: 0 } },
    );
    emitLogs(app.events, trigger, job.createdBy, outcome.logs);
    if (outcome.kind === "error")
      throw new Error(`${outcome.error.type}: ${located(outcome.error, trigger)}`);
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

const maxListed = 200;

/** `jobs.create` and what reads jobs, for a script that acts as `callerDid` (lua §4.9). */
export function jobsFunctions(jobs: JobsApi | undefined, callerDid: string | undefined): HostFunctions {
  const find = async (id: unknown, mine: boolean): Promise<unknown> => {
    if (!jobs) throw new ScriptError("the jobs plugin is not in the config");
    const job = await jobs.get(String(id));
    // A script sees the jobs of whom it acts for; `get_any` is for what administers.
    const isMine =
      job !== undefined && (JSON.parse(job) as { created_by: string | null }).created_by === callerDid;
    return job === undefined || (mine && !isMine) ? undefined : jsonResult(job);
  };
  return {
    "jobs.get": ([id]) => find(id, true),
    "jobs.get_any": ([id]) => find(id, false),
    "jobs.list_any": async ([options]) => {
      if (!jobs) throw new ScriptError("the jobs plugin is not in the config");
      const { status, job_type: type, limit } = isObject(options) ? options : {};
      const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
      const count = typeof limit === "number" ? Math.min(Math.max(Math.trunc(limit), 1), maxListed) : 50;
      return jsonResult(await jobs.list({ status: text(status), type: text(type), limit: count }));
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

/** The functions of the script's `job`. */
function jobFunctions(job: RunningJob): HostFunctions {
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
    "job.log": ([level, message]) =>
      level === "warn" ? job.warn(String(message)) : job.log(String(message)),
  };
}
