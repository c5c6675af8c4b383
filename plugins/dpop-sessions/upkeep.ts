import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import { resealAtStart } from "../../core/reseal.ts";
import type { SecretBox } from "../../core/secret-box.ts";
import type { DpopKeys } from "./keys.ts";

export interface UpkeepParts {
  app: Pick<PluginApp, "db" | "hook" | "onClose" | "log">;
  keys: Pick<DpopKeys, "sweep">;
  box: SecretBox;
  sweepEveryMs: number;
}

/** What is done about keys and sessions while the instance runs; one-off commands leave them alone. */
export function upkeep({ app, keys, box, sweepEveryMs }: UpkeepParts): void {
  resealAtStart(app, box, [
    { table: "happyview_dpop_keys", key: "id", column: "private_key_enc" },
    { table: "happyview_dpop_sessions", key: "id", column: "access_token_enc" },
    { table: "happyview_dpop_sessions", key: "id", column: "refresh_token_enc" },
  ]);
  app.hook("app:ready", () => {
    const timer = setInterval(() => {
      keys
        .sweep()
        .catch((error) => app.log.warn("unused keys could not be removed", { error: explain(error) })); // the next one does
    }, sweepEveryMs).unref();
    app.onClose(() => clearInterval(timer));
  });
}
