import { z } from "zod";
import { HttpError } from "./errors.ts";
import type { Events } from "./events.ts";
import type { AdminRoutes } from "./http/admin.ts";
import type { Settings } from "./settings.ts";

/** `/admin/settings` (admin-api §2.12). */
export function settingsAdmin(admin: AdminRoutes, settings: Settings, events: Events): void {
  const permission = "settings:manage";
  admin.route("GET /settings", { permission }, () => settings.list());
  admin.route(
    "PUT /settings/:key",
    { permission, body: z.object({ value: z.string() }) },
    async ({ params, body, caller }) => {
      const key = params["key"] ?? "";
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
