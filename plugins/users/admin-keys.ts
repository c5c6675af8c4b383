import { z } from "zod";
import { HttpError, json, type Caller, type PluginApp } from "../../core/index.ts";
import { requireHeld } from "./admin-users.ts";
import type { ApiKey, ApiKeys } from "./keys.ts";
import type { UserStore } from "./store.ts";

const newKey = z.object({
  name: z.string(),
  permissions: z.array(z.string()),
  /** RFC 3339; never when left out. */
  expires_at: z.iso.datetime({ offset: true }).nullish(),
});

/** `/admin/api-keys`, always the caller's own (admin-api §2.6). */
export function keysAdmin(
  { admin, events }: Pick<PluginApp, "admin" | "events">,
  keys: ApiKeys,
  users: Pick<UserStore, "byDid">,
): void {
  const ownerOf = async ({ did }: Caller): Promise<string | null> =>
    did === null ? null : ((await users.byDid(did))?.id ?? null);

  admin.route("POST /api-keys", { permission: "api-keys:create", body: newKey }, async ({ body, caller }) => {
    requireHeld(caller, body.permissions, "API key permission");
    const { name, permissions } = body;
    const expiresAt = body.expires_at ?? undefined;
    const created = await keys.create({ userId: await ownerOf(caller), name, permissions, expiresAt });
    const { id, key, prefix } = created;
    events.emit({
      type: "api_key.created",
      actor: caller.did,
      subject: name,
      detail: { key_prefix: prefix, permissions },
    });
    return json(
      { id, name, key, key_prefix: prefix, permissions, ...(expiresAt ? { expires_at: expiresAt } : {}) },
      201,
    );
  });
  admin.route("GET /api-keys", { permission: "api-keys:read" }, async ({ caller }) =>
    (await keys.list(await ownerOf(caller))).map(view),
  );
  admin.route("DELETE /api-keys/:id", { permission: "api-keys:delete" }, async ({ params, caller }) => {
    const id = params["id"] ?? "";
    if (!(await keys.revoke(id, await ownerOf(caller))))
      throw new HttpError(404, `api key '${id}' not found`);
    events.emit({ type: "api_key.revoked", actor: caller.did, subject: id });
  });
}

function view(key: ApiKey): Record<string, unknown> {
  return {
    id: key.id,
    name: key.name,
    key_prefix: key.prefix,
    permissions: key.permissions,
    created_at: key.createdAt,
    last_used_at: key.lastUsedAt,
    revoked_at: key.revokedAt,
    ...(key.expiresAt === null ? {} : { expires_at: key.expiresAt }),
  };
}
