import { labelersKey } from "../../core/config/labelers.ts";
import type { PluginApp, ResourceKind } from "../../core/index.ts";
import type { Subscriptions } from "./subscriptions.ts";

/** `labelers` of the config: its entries come and go with it; what an admin added stays. */
export function labelerResource(
  subscriptions: Subscriptions,
  events: PluginApp["events"],
): ResourceKind<undefined> {
  return {
    kind: "labeler",
    folder: labelersKey,
    idOf: (path) => path,
    parse: () => undefined, // the config was checked when it was read
    stored: async () =>
      subscriptions.all().map(({ did, origin, configHash }) => ({ id: did, origin, configHash })),
    async put(did, _value, by) {
      await subscriptions.add(did, by);
      events.emit({ type: "labeler.added", subject: did });
    },
    async remove(did) {
      await subscriptions.remove(did);
      events.emit({ type: "labeler.deleted", subject: did });
    },
  };
}
