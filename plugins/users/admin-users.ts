import { z } from "zod";
import { isAllowed } from "../../core/http/caller.ts";
import { HttpError, json, type Caller, type PluginApp } from "../../core/index.ts";
import { isPermission, permissions, templates } from "./permissions.ts";
import type { User, UserStore } from "./store.ts";

const newUser = z.object({
  did: z.string(),
  template: z.enum(templates.map(({ key }) => key)).nullish(),
  permissions: z.array(z.string()).nullish(),
});
const change = z.object({
  grant: z.array(z.string()).optional(),
  revoke: z.array(z.string()).optional(),
});

/** `/admin/users` and `/admin/permissions` (admin-api §2.5). */
export function usersAdmin({ admin, events }: Pick<PluginApp, "admin" | "events">, users: UserStore): void {
  const existing = async (id = ""): Promise<User> => {
    const user = await users.get(id);
    if (!user) throw new HttpError(404, `user '${id}' not found`);
    return user;
  };

  admin.route("GET /permissions", { permission: "users:read" }, () => ({
    permissions,
    templates: templates.map(({ key, label, permissions: keys }) => ({
      key,
      label,
      permissions: keys.filter((each) => !each.startsWith("spaces:")),
    })),
  }));
  admin.route("GET /users", { permission: "users:read" }, async () => (await users.list()).map(view));
  admin.route("GET /users/:id", { permission: "users:read" }, async ({ params }) =>
    view(await existing(params["id"])),
  );

  admin.route("POST /users", { permission: "users:create", body: newUser }, async ({ body, caller }) => {
    const template = body.template ?? (body.permissions ? undefined : "viewer");
    const granted = body.permissions ?? templates.find(({ key }) => key === template)?.permissions ?? [];
    requireHeld(caller, granted, "permission");
    const user = await users.add({ did: body.did, permissions: granted, by: caller.did });
    if (!user) throw new HttpError(409, `failed to create user: ${body.did} is a user already`);
    events.emit({
      type: "user.created",
      actor: caller.did,
      subject: user.did,
      detail: { template: body.template?.replace("_", "") ?? null, permissions: user.permissions },
    });
    return json({ id: user.id, did: user.did }, 201);
  });

  admin.route(
    "PATCH /users/:id/permissions",
    { permission: "users:update", body: change },
    async ({ params, body: { grant = [], revoke = [] }, caller }) => {
      const user = await users.get(params["id"] ?? "");
      if (user && user.did === caller.did) throw new HttpError(403, "Cannot modify your own permissions");
      if (!user) throw new HttpError(404, `user '${params["id"]}' not found`);
      if (user.isSuper) throw new HttpError(403, "Cannot modify super user's permissions");
      const unknown = [...grant, ...revoke].find((each) => !isPermission(each));
      if (unknown !== undefined) throw new HttpError(400, `Unrecognized permission: ${unknown}`);
      requireHeld(caller, grant, "permission");
      await users.change(user.id, { grant, revoke, by: caller.did });
      events.emit({
        type: "user.permissions_updated",
        actor: caller.did,
        subject: user.id,
        detail: { granted: grant, revoked: revoke },
      });
    },
  );

  admin.route("DELETE /users/:id", { permission: "users:delete" }, async ({ params, caller }) => {
    const user = await existing(params["id"]);
    if (user.did === caller.did) throw new HttpError(403, "Cannot delete yourself");
    if (user.isSuper) throw new HttpError(403, "Cannot delete the super user");
    await users.remove(user.id);
    events.emit({ type: "user.deleted", actor: caller.did, subject: user.id });
  });

  const target = z.object({ target_user_id: z.string() });
  admin.route("POST /users/transfer-super", { permission: [], body: target }, async ({ body, caller }) => {
    const from = caller.did === null ? undefined : await users.byDid(caller.did);
    if (!from?.isSuper) throw new HttpError(403, "Only the super user can transfer super status");
    const to = await existing(body.target_user_id);
    await users.transferSuper(from.id, to.id);
    events.emit({
      type: "user.super_transferred",
      severity: "warn",
      actor: caller.did,
      subject: to.id,
      detail: { from_user_id: from.id, to_user_id: to.id },
    });
  });
}

/** Nobody gives away what he does not have. */
export function requireHeld(caller: Caller, wanted: readonly string[], what: string): void {
  const missing = wanted.find((each) => !isAllowed(caller, each));
  if (missing !== undefined) throw new HttpError(403, `Cannot grant ${what} you don't have: ${missing}`);
}

function view(user: User): Record<string, unknown> {
  return {
    id: user.id,
    did: user.did,
    is_super: user.isSuper,
    permissions: user.permissions,
    created_at: user.createdAt,
    last_used_at: user.lastUsedAt,
  };
}
