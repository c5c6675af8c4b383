import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import type { SecretBox } from "../../core/secret-box.ts";
import type { DpopKeys } from "./keys.ts";
import { reseal } from "./reseal.ts";

export interface UpkeepParts {
  app: Pick<PluginApp, "db" | "hook" | "onClose" | "log">;
  keys: Pick<DpopKeys, "sweep">;
  box: SecretBox;
  sweepEveryMs: number;
}

/** What is done about keys and sessions while the instance runs; one-off commands leave them alone. */
export function upkeep({ app, keys, box, sweepEveryMs }: UpkeepParts): void {
  app.hook("app:ready", () => {
    const closing = new AbortController();
    const resealing = reseal(app.db, box, closing.signal).then(
      (count) => {
        if (count > 0) app.log.info("keys and tokens were sealed anew with TOKEN_ENCRYPTION_KEY", { count });
      },
      (error: unknown) =>
        app.log.error("keys and tokens could not all be sealed anew; the next start goes on", {
          error: explain(error),
          hint: "keep TOKEN_ENCRYPTION_KEY_PREVIOUS until then",
        }),
    );
    const timer = setInterval(() => {
      keys
        .sweep()
        .catch((error) => app.log.warn("unused keys could not be removed", { error: explain(error) })); // the next one does
    }, sweepEveryMs).unref();
    app.onClose(async () => {
      clearInterval(timer);
      closing.abort();
      await resealing;
    });
  });
}
