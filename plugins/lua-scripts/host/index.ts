import type { PluginApp } from "../../../core/plugin-app.ts";
import type { JobsApi } from "../../jobs/index.ts";
import type { HostFunctions } from "../engine/host.ts";
import type { Pool, RunOptions } from "../engine/pool.ts";
import type { ScriptRun } from "../engine/script-run.ts";
import type { Signer } from "../attestation/signer.ts";
import { jobsFunctions } from "../job.ts";
import { modulesOf } from "../modules.ts";
import type { Budgets } from "../budgets.ts";
import type { Scripts } from "../scripts.ts";
import { actorOf, type Actor } from "./actor.ts";
import { atprotoFunctions } from "./atproto.ts";
import type { Blobs } from "./blobs.ts";
import { attestationFunctions, signedRepository } from "./attestation.ts";
import { httpAllowance, httpFunctions } from "./http.ts";
import type { ScriptFetch } from "./outgoing.ts";
import { recordFunctions } from "./records.ts";
import { xrpcFunctions } from "./xrpc.ts";

export interface HostParts {
  app: Pick<PluginApp, "clock" | "db" | "identity" | "lexicons" | "log" | "records" | "xrpc">;
  scripts: Scripts;
  budgets: Budgets;
  fetch: ScriptFetch;
  /** What a request of a run may take, jobs excepted. @default 30_000 */
  httpTimeoutMs?: number | undefined;
  /** Of all pools: they share what is held. */
  blobs: Blobs;
  jobs?: JobsApi | undefined;
  signer?: Signer | undefined;
}

export interface HostedRunOptions extends RunOptions {
  /** @default the author of a record, the creator of a job, the caller as a bare account */
  actor?: Actor;
}

/** A pool whose runs have what the specification promises them: the modules they require and the APIs of the host. */
export interface HostedPool extends Omit<Pool, "run"> {
  run(run: ScriptRun, options?: HostedRunOptions): ReturnType<Pool["run"]>;
}

export function createHostedPool(pool: Pool, parts: HostParts): HostedPool {
  const { app, scripts, budgets, fetch, httpTimeoutMs, jobs, signer } = parts;
  const functionsOf = (actor: Actor): HostFunctions => ({
    ...recordFunctions(app, actor),
    ...xrpcFunctions(app, actor),
    ...atprotoFunctions(app),
    ...jobsFunctions(jobs, actor.caller.did ?? undefined),
  });
  return {
    ...pool,
    async run(run, { actor = actorOf(run), host, ...options } = {}) {
      const modules = modulesOf(run.script.body, scripts);
      const allowance = httpAllowance(run.kind, httpTimeoutMs);
      const blobs = parts.blobs(actor, allowance);
      const functions = {
        ...httpFunctions(fetch, allowance),
        ...attestationFunctions(signer, signedRepository(run, actor)),
        ...blobs.functions,
        ...functionsOf(actor),
        ...host,
      };
      const outcome = await pool
        .run(
          {
            ...run,
            limits: { ...budgets(run.kind), ...run.limits },
            ...(modules ? { script: { ...run.script, modules } } : {}),
            hasPdsAuth: actor.session !== undefined,
            hasSigner: signer !== undefined,
          },
          { ...options, host: functions, isNested: actor.nesting > 0 },
        )
        .finally(blobs.release);
      return {
        ...outcome,
        used: { ...outcome.used, ...allowance.used },
        limits: { ...outcome.limits, ...allowance.limits },
      };
    },
  };
}
