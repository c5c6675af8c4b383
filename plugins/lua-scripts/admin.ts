import { z } from "zod";
import { HttpError, json, type PluginApp } from "../../core/index.ts";
import { codemodAdmin, migrationState } from "./codemod.ts";
import type { Pool } from "./engine/pool.ts";
import type { ScriptRow, Scripts } from "./scripts.ts";
import { parseTrigger } from "./triggers.ts";

const create = z.object({
  id: z.string(),
  body: z.string(),
  script_type: z.string().optional(),
  description: z.string().nullish(),
});
const patch = z.object({
  body: z.string().optional(),
  script_type: z.string().optional(),
  description: z.string().nullish(),
});

/** `/admin/scripts` (lua §6.2). A script put here acts at once. */
export function scriptsAdmin(app: Pick<PluginApp, "admin" | "events">, scripts: Scripts, pool: Pool): void {
  const { admin, events } = app;
  const existing = (id: string | undefined): ScriptRow => {
    const row = scripts.list().find((script) => script.id === id);
    if (!row) throw new HttpError(404, `script '${id}' not found`);
    return row;
  };
  const validate = async (
    id: string,
    body: string,
    type: string,
    description: string | null,
  ): Promise<void> => {
    try {
      parseTrigger(id);
    } catch (error) {
      throw new HttpError(400, error instanceof Error ? error.message : String(error));
    }
    if ((description ?? "").length > 300)
      throw new HttpError(400, "description must be at most 300 characters");
    if (type !== "lua") throw new HttpError(400, `script language '${type}' is not supported: only lua is`);
    const result = await pool.validate(body);
    if (!result.ok) throw new HttpError(400, result.message);
  };

  admin.route("GET /scripts", { permission: "scripts:read" }, ({ query }) => {
    const suffix = query.get("suffix");
    const rows = scripts.list().map(toView);
    return suffix === null ? rows : rows.filter((row) => row.id.endsWith(`:${suffix}`));
  });
  admin.route("GET /scripts/:id", { permission: "scripts:read" }, ({ params }) =>
    toView(existing(params["id"])),
  );
  admin.route("POST /scripts", { permission: "scripts:manage", body: create }, async ({ body, caller }) => {
    const description = body.description || null;
    await validate(body.id, body.body, body.script_type ?? "lua", description);
    const { row, isNew } = await scripts.put(body.id, { body: body.body, description }, { origin: "admin" });
    events.emit({ type: isNew ? "script.created" : "script.updated", actor: caller.did, subject: row.id });
    return json(toView(row), isNew ? 201 : 200);
  });
  admin.route(
    "PATCH /scripts/:id",
    { permission: "scripts:manage", body: patch },
    async ({ params, body, caller }) => {
      const before = existing(params["id"]);
      if (body.body === undefined && body.script_type === undefined && body.description === undefined)
        throw new HttpError(400, "patch requires at least one of: script_type, body, description");
      if (body.script_type !== undefined && body.body === undefined)
        throw new HttpError(
          400,
          "patching script_type requires body alongside (so the server can re-validate)",
        );
      const description = body.description === undefined ? before.description : body.description || null;
      const text = body.body ?? before.body;
      await validate(before.id, text, body.script_type ?? before.script_type, description);
      const { row } = await scripts.put(before.id, { body: text, description }, { origin: "admin" });
      events.emit({ type: "script.updated", actor: caller.did, subject: row.id });
      return toView(row);
    },
  );
  admin.route("DELETE /scripts/:id", { permission: "scripts:manage" }, async ({ params, caller }) => {
    const { id } = existing(params["id"]);
    await scripts.remove(id);
    events.emit({ type: "script.deleted", actor: caller.did, subject: id });
  });
  codemodAdmin(app, existing);
}

function toView({ origin: _origin, config_hash: _hash, ...row }: ScriptRow) {
  return { ...row, ...migrationState(row) };
}
