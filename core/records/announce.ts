import { explain } from "../errors.ts";
import type { Hooks } from "../hooks.ts";
import type { Logger } from "../log.ts";
import { lexiconSchema, type AppliedChange, type SourceEvent } from "./change.ts";

/** Tells the listeners what is durable now: the changes together, then each event that is more than a change. */
export async function announce(
  { hooks, log }: { hooks: Hooks; log: Logger },
  applied: AppliedChange[],
  batch: readonly { event: SourceEvent }[],
): Promise<void> {
  /** One listener that fails must not keep the others from hearing what happened. */
  async function told(call: () => Promise<unknown> | void): Promise<void> {
    try {
      await call();
    } catch (error) {
      log.error("a listener failed after records were written", { error: explain(error) });
    }
  }

  if (applied.length > 0) await told(() => hooks.callHook("record:after", applied));
  for (const { event } of batch) {
    if (event.kind === "account") await told(() => hooks.callHook("account:changed", event));
    else if (event.kind === "identity") await told(() => hooks.callHook("identity:changed", event));
    else if (event.kind === "commit" && event.collection === lexiconSchema) {
      const { did, rkey: nsid, rev, record: document } = event;
      const schema = { did, nsid, rev, document };
      await told(() => hooks.callHook("lexicon:published", schema));
    }
  }
}
