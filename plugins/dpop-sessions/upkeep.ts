import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import type { DpopKeys } from "./keys.ts";

export interface UpkeepParts {
  app: Pick<PluginApp, "hook" | "onClose" | "log">;
  keys: Pick<DpopKeys, "sweep">;
  sweepEveryMs: number;
}

/** What is done about keys and sessions while the instance runs; one-off commands leave them alone. */
export function upkeep({ app, keys, sweepEveryMs }: UpkeepParts): void {
  app.hook("app:ready", () => {
    const timer = setInterval(() => {
      keys
        .sweep()
        .catch((error) => app.log.warn("unused keys could not be removed", { error: explain(error) })); // the next one does
    }, sweepEveryMs).unref();
    app.onClose(() => clearInterval(timer));
  });
}
