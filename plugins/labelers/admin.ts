import { isValidDid } from "@atproto/syntax";
import { z } from "zod";
import { HttpError, reply, type PluginApp } from "../../core/index.ts";
import type { Subscription, Subscriptions } from "./subscriptions.ts";

const addition = z.object({ did: z.string() });
const change = z.object({ status: z.string().min(1).max(64) });

/** `/admin/labelers` (admin-api §2.11). `changed` resolves when the streams follow. */
export function labelersAdmin(
  { admin, events }: Pick<PluginApp, "admin" | "events">,
  subscriptions: Subscriptions,
  changed: () => Promise<void>,
): void {
  const missing = (did: string): HttpError => new HttpError(404, `labeler subscription '${did}' not found`);

  admin.route("GET /labelers", { permission: "labelers:read" }, async () => {
    await subscriptions.refresh();
    return subscriptions.all().map(toView);
  });
  admin.route(
    "POST /labelers",
    { permission: "labelers:create", body: addition },
    async ({ body: { did }, caller }) => {
      if (!isValidDid(did) || did.length > 256) throw new HttpError(400, `invalid DID: ${did.slice(0, 256)}`);
      await subscriptions.add(did, { origin: "admin" });
      events.emit({ type: "labeler.added", actor: caller.did, subject: did });
      await changed();
      return reply(201, null);
    },
  );
  admin.route(
    "PATCH /labelers/:did",
    { permission: "labelers:create", body: change },
    async ({ params, body: { status }, caller }) => {
      const did = params["did"] ?? "";
      if (!(await subscriptions.setStatus(did, status))) throw missing(did);
      events.emit({ type: "labeler.updated", actor: caller.did, subject: did, detail: { status } });
      await changed();
    },
  );
  admin.route("DELETE /labelers/:did", { permission: "labelers:delete" }, async ({ params, caller }) => {
    const did = params["did"] ?? "";
    if (!(await subscriptions.remove(did))) throw missing(did);
    events.emit({ type: "labeler.deleted", actor: caller.did, subject: did });
    await changed();
    await subscriptions.finishRemovals();
  });
}

function toView({ did, status, cursor, createdAt, updatedAt }: Subscription): Record<string, unknown> {
  return { did, status, cursor, created_at: createdAt, updated_at: updatedAt };
}
