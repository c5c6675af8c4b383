import { HappyViewError, type ResourceKind } from "../../core/index.ts";
import type { Pool } from "./engine/pool.ts";
import type { ScriptInput, Scripts } from "./scripts.ts";
import { triggerFolders, triggerOfPath } from "./triggers.ts";

/** `scripts/<trigger>/<suffix>.lua`; `scripts/lib/` holds modules, which are no triggers. */
export function scriptResource(scripts: Scripts, pool: Pool): ResourceKind<ScriptInput> {
  return {
    kind: "script",
    folder: "scripts",
    idOf(path) {
      if (!path.endsWith(".lua") || path.startsWith("lib/")) return null;
      try {
        return triggerOfPath(path);
      } catch (cause) {
        throw new HappyViewError("RESOURCE_PATH", {
          message: `scripts/${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
          hint: `put it into one of scripts/{${triggerFolders.join(",")}}/, named after what it is for: scripts/record.create/com.example.status.lua`,
        });
      }
    },
    async parse(file) {
      const result = await pool.validate(file.text);
      if (result.ok) return { body: file.text };
      const line = /line (\d+): /.exec(result.message)?.[1];
      throw new HappyViewError("SCRIPT_INVALID", {
        message: `${file.name}${line ? `:${line}` : ""}: ${result.message}`,
        hint: "correct the file; the version that was deployed last keeps running",
      });
    },
    stored: async () => scripts.stored(),
    async put(trigger, input, by) {
      await scripts.put(trigger, input, by);
    },
    async remove(trigger) {
      await scripts.remove(trigger);
    },
  };
}
