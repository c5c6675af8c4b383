import { HappyViewError, type ResourceKind } from "../../core/index.ts";
import type { Pool } from "./engine/pool.ts";
import { moduleOfPath, modulePrefix } from "./modules.ts";
import type { ScriptInput, Scripts } from "./scripts.ts";
import { triggerFolders, triggerOfPath } from "./triggers.ts";

/** `scripts/<trigger>/<suffix>.lua`, and `scripts/lib/<name>.lua` for what scripts require. */
export function scriptResource(scripts: Scripts, pool: Pool): ResourceKind<ScriptInput> {
  return {
    kind: "script",
    folder: "scripts",
    idOf(path) {
      if (!path.endsWith(".lua")) return null;
      if (path.startsWith("lib/")) return moduleOfPath(path) ?? refuseModule(path);
      try {
        return triggerOfPath(path);
      } catch (cause) {
        throw new HappyViewError("RESOURCE_PATH", {
          message: `scripts/${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
          hint: `put it into one of scripts/{${triggerFolders.join(",")}}/, named after what it is for: scripts/record.create/com.example.status.lua`,
        });
      }
    },
    async parse(file, id) {
      const result = await pool.validate(file.text, id.startsWith(modulePrefix) ? "module" : "script");
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

function refuseModule(path: string): never {
  throw new HappyViewError("RESOURCE_PATH", {
    message: `scripts/${path} has a name that no require() can use`,
    hint: 'use letters, digits, - and _: scripts/lib/dates.lua is require("lib.dates")',
  });
}
