import { z } from "zod";
import { isAllowed, permissionDenied } from "../../core/http/caller.ts";
import { HttpError, type PluginApp } from "../../core/index.ts";
import type { ScriptRow } from "./scripts.ts";
import { parseTrigger } from "./triggers.ts";

const request = z.object({
  apply: z.boolean().optional(),
  allow_markers: z.boolean().optional(),
  source: z.string().optional(),
});

/**
 * The migration of scripts to version 3 (lua §6.2) as its tools ask for it. Scripts of both versions run here as they
 * are (lua §0.2), so the answer is the text itself and applying it changes nothing.
 */
export function codemodAdmin(
  { admin }: Pick<PluginApp, "admin">,
  existing: (id: string | undefined) => ScriptRow,
): void {
  admin.route(
    "POST /scripts/:id/codemod",
    { permission: "scripts:read", body: request },
    ({ params, body: { apply = false, source }, caller }) => {
      if (apply && !isAllowed(caller, "scripts:manage")) throw permissionDenied("scripts:manage");
      const { script_type: type, body } = existing(params["id"]);
      if (apply && source !== undefined)
        throw new HttpError(400, "apply is for the stored script: save the source, or leave it out");
      if (type !== "lua") throw new HttpError(400, `there is no migration of the script language '${type}'`);
      return { source: source ?? body, notes: [], changed: false };
    },
  );
}

/** What version 3 says of a row beside what is stored. */
export function migrationState({ id, script_type: type }: Pick<ScriptRow, "id" | "script_type">): {
  recreatable: boolean;
  needs_migration: string[];
  runnable: boolean;
} {
  return { recreatable: isTrigger(id), needs_migration: [], runnable: type === "lua" };
}

function isTrigger(id: string): boolean {
  try {
    parseTrigger(id);
    return true;
  } catch {
    return false;
  }
}
