import { z } from "zod";
import { HttpError } from "./errors.ts";
import type { Events } from "./events.ts";
import type { AdminRoutes } from "./http/admin.ts";
import type { Settings } from "./settings.ts";

/** `/admin/settings` (admin-api §2.12). */
export function settingsAdmin(
  admin: AdminRoutes,
  settings: Settings,
  events: Events,
  isEncrypting: boolean,
): void {
  const permission = "settings:manage";
  admin.route("GET /settings", { permission }, () => settings.list());
  // External-auth plugins in WebAssembly are not part of this version: admin tools see that there are none.
  admin.route("GET /plugins", { permission: "plugins:read" }, () => ({
    plugins: [],
    encryption_configured: isEncrypting,
  }));
  admin.route("GET /feature-flags", { permission }, () => [
    {
      key: "feature.spaces_enabled",
      name: "Permissioned Spaces",
      description: "Spaces with members of their own; this version does not serve them",
      enabled: settings.isOn("feature.spaces_enabled"),
    },
  ]);
  admin.route(
    "PUT /settings/:key",
    { permission, body: z.object({ value: z.string() }) },
    async ({ params, body, caller }) => {
      const key = params["key"] ?? "";
      const problem = settings.problem(key, body.value);
      if (problem !== undefined) throw new HttpError(400, problem);
      await settings.put(key, body.value);
      events.emit({
        type: "setting.updated",
        actor: caller.did,
        subject: key,
        detail: { value: body.value },
      });
    },
  );
  admin.route("DELETE /settings/:key", { permission }, async ({ params, caller }) => {
    const key = params["key"] ?? "";
    if (!(await settings.remove(key))) throw new HttpError(404, `setting '${key}' not found`);
    events.emit({ type: "setting.deleted", actor: caller.did, subject: key });
  });
}
