import { z } from "zod";
import { HttpError, reply, type PluginApp } from "../../core/index.ts";
import type { Subscription, Subscriptions } from "./subscriptions.ts";

/** `/admin/labelers` (sync-and-xrpc §5.1). */
export function labelersAdmin(
  { admin, events }: Pick<PluginApp, "admin" | "events">,
  subscriptions: Subscriptions,
  changed: () => Promise<void>,
): void {
  const missing = (did: string): HttpError => new HttpError(404, `labeler subscription '${did}' not found`);

  admin.route("GET /labelers", { permission: "labelers:read" }, async () =>
    (await subscriptions.list()).map(view),
  );
  admin.route(
    "POST /labelers",
    { permission: "labelers:create", body: z.object({ did: z.string().min(1).max(2048) }) },
    async ({ body: { did }, caller }) => {
      await subscriptions.add(did, "admin");
      events.emit({ type: "labeler.added", actor: caller.did, subject: did });
      await changed();
      return reply(201, "");
    },
  );
  admin.route(
    "PATCH /labelers/:did",
    { permission: "labelers:create", body: z.object({ status: z.string().max(64) }) },
    async ({ params, body: { status }, caller }) => {
      const did = params["did"] ?? "";
      if (!(await subscriptions.setStatus(did, status))) throw missing(did);
      events.emit({ type: "labeler.updated", actor: caller.did, subject: did, detail: { status } });
      await changed();
    },
  );
  admin.route("DELETE /labelers/:did", { permission: "labelers:delete" }, async ({ params, caller }) => {
    const did = params["did"] ?? "";
    // Its stream ends first: a label on its way must not stay behind.
    if (await subscriptions.setStatus(did, "removing")) await changed();
    if (!(await subscriptions.remove(did))) throw missing(did);
    events.emit({ type: "labeler.deleted", actor: caller.did, subject: did });
  });
}

function view({ did, status, cursor, createdAt, updatedAt }: Subscription): Record<string, unknown> {
  return { did, status, cursor, created_at: createdAt, updated_at: updatedAt };
}
