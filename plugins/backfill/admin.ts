import { z } from "zod";
import { isValidDid } from "@atproto/syntax";
import { HttpError, type PluginApp } from "../../core/index.ts";
import type { Queries } from "../../core/db/database.ts";
import { json } from "../../core/http/reply.ts";
import type { Details } from "./details.ts";
import { eventStream } from "./event-stream.ts";
import type { Hub } from "./hub.ts";
import { toView, type JobRequest, type JobRow } from "./job.ts";
import type { Act, Jobs } from "./jobs.ts";
import { methods } from "./plan.ts";

const read = { permission: "backfill:read" };
const create = { permission: "backfill:create" };

const maxAccounts = 500;

const body = z.object({
  collection: z.string().nullish(),
  did: z.string().nullish(),
  dids: z.array(z.string()).nullish(),
  method: z.enum(methods).nullish(),
});

export interface AdminParts {
  app: Pick<PluginApp, "admin" | "events">;
  jobs: Jobs;
  details: Details;
  hub: Hub;
  start(request: JobRequest, actor: string | null): Promise<JobRow>;
  /** A job's status was changed. */
  changed(): void;
  /** How much that failed is queued once more. */
  retryFailed(tx: Queries, id: string): Promise<number>;
  /** The DID of a handle. @throws HttpError 400 */
  resolveHandle(handle: string): Promise<string>;
}

/** `/admin/backfill` (sync-and-xrpc §3.8). */
export function backfillAdmin(parts: AdminParts): void {
  const { app, jobs, details } = parts;
  const { admin } = app;
  const existing = async (id = ""): Promise<JobRow> => {
    const job = await jobs.get(id);
    if (!job) throw new HttpError(404, "backfill job not found");
    return job;
  };
  const announce = (verb: string, { id, collection }: JobRow, actor: string | null): void =>
    app.events.emit({ type: `backfill.${verb}`, actor, subject: collection, detail: { job_id: id } });

  admin.route("POST /backfill", { ...create, body }, async ({ body: given, caller }) => {
    const dids = await accounts(
      given.dids ?? (given.did == null ? undefined : [given.did]),
      given.dids != null,
      parts,
    );
    const { id, status } = await parts.start(
      { collection: given.collection || undefined, dids, method: given.method ?? undefined },
      caller.did,
    );
    return json({ id, status }, 201);
  });
  admin.route("GET /backfill/status", read, async () => (await jobs.list()).map(toView));
  admin.route("GET /backfill/:id", read, async ({ params }) => toView(await existing(params["id"])));

  const act = (
    name: Act,
    {
      idempotent,
      refusal,
      verb,
    }: { idempotent: readonly string[]; refusal: string; verb(job: JobRow): string },
  ): void =>
    admin.route(`POST /backfill/:id/${name}`, create, async ({ params, caller }) => {
      const job = await existing(params["id"]);
      if (idempotent.includes(job.status)) return { id: job.id, status: job.status };
      const changed = await jobs.act(job.id, name, async (tx) => {
        if (name === "retry-failed" && (await parts.retryFailed(tx, job.id)) === 0)
          throw new HttpError(400, "nothing failed");
      });
      if (!changed) throw new HttpError(400, `${refusal} (status: ${job.status})`);
      announce(verb(changed), changed, caller.did);
      if (changed.status === "cancelled")
        parts.hub.emit(job.id, { type: "job_completed", status: "cancelled", error: changed.error });
      parts.changed();
      return { id: changed.id, status: changed.status };
    });
  act("cancel", {
    idempotent: ["cancelling", "cancelled"],
    refusal: "job is not running",
    verb: (job) => job.status,
  });
  act("pause", { idempotent: ["pausing", "paused"], refusal: "job is not running", verb: () => "pausing" });
  act("resume", { idempotent: [], refusal: "job is not paused", verb: () => "resumed" });
  act("retry-failed", { idempotent: [], refusal: "job is not completed", verb: () => "retried" });

  admin.route("GET /backfill/:id/repos", read, ({ params, query }) =>
    details.repos(params["id"] ?? "", {
      phase: query.get("phase") ?? "",
      after: query.get("cursor") ?? "",
      limit: toLimit(query.get("limit")),
    }),
  );
  admin.route("GET /backfill/:id/errors", read, ({ params, query }) =>
    details.errors(params["id"] ?? "", {
      after: query.get("cursor") ?? "",
      limit: toLimit(query.get("limit")),
    }),
  );
  admin.route("GET /backfill/:id/pds-summary", read, async ({ params }) => ({
    pds_endpoints: await details.hosts(params["id"] ?? ""),
  }));
  admin.route("GET /backfill/:id/events", read, async ({ params }) =>
    eventStream(await existing(params["id"]), jobs, parts.hub),
  );
  admin.route("DELETE /backfill/:id/details", create, ({ params }) => details.remove(params["id"]));
  admin.route("DELETE /backfill/details", create, () => details.remove());
}

function toLimit(text: string | null): number {
  const limit = Number.parseInt(text ?? "", 10);
  return Number.isNaN(limit) ? 50 : Math.min(Math.max(limit, 1), 100);
}

/** Trimmed and without repetition; handles become DIDs. A single `did` is taken as it is, as HappyView does. */
async function accounts(
  given: readonly string[] | undefined,
  isList: boolean,
  { resolveHandle }: Pick<AdminParts, "resolveHandle">,
): Promise<string[] | undefined> {
  if (given === undefined) return undefined;
  const names = [...new Set(given.map((name) => name.trim()).filter(Boolean))];
  if (names.length === 0) throw new HttpError(400, `${isList ? "dids" : "did"} names no account`);
  if (names.length > maxAccounts)
    throw new HttpError(400, `dids names ${names.length} accounts: at most ${maxAccounts} are taken`);
  if (!isList) return names;
  const unknown: string[] = [];
  const dids = await Promise.all(
    names.map((name) =>
      isValidDid(name)
        ? name
        : resolveHandle(name.replace(/^@/, "")).catch(() => {
            unknown.push(name);
            return "";
          }),
    ),
  );
  if (unknown.length > 0)
    throw new HttpError(400, `these accounts cannot be resolved: ${unknown.join(", ")}`);
  return [...new Set(dids)];
}
