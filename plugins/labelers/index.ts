import { explain } from "../../core/errors.ts";
import { definePlugin } from "../../core/index.ts";
import { luaScripts } from "../lua-scripts/index.ts";
import { labelersAdmin } from "./admin.ts";
import { createByUri } from "./by-uri.ts";
import { startCrew, type Crew } from "./crew.ts";
import { labelDecorator } from "./hydrate.ts";
import { createIntake } from "./intake.ts";
import { migrations } from "./migrations.ts";
import { sweepExpired } from "./store.ts";
import { createSubscriptions } from "./subscriptions.ts";

export interface LabelersOptions {
  /** Labelers that are always subscribed to; one that is taken out is unsubscribed, and its labels go. */
  dids?: readonly string[];
}

const sweepEveryMs = 10 * 60 * 1000;

/**
 * Labels of the labelers that this instance follows: checked, shown to `labeler.apply` scripts, and served with the
 * records they are about (sync-and-xrpc §5).
 * @example plugins: [luaScripts(), labelers({ dids: ["did:plc:ar7c4by46qjdydhdevvrndac"] })]
 */
export const labelers = definePlugin({
  name: "labelers",
  wants: { scripts: luaScripts },
  migrations,
  async setup(app, { dids = [] }: LabelersOptions, { scripts }) {
    const subscriptions = createSubscriptions(app);
    for (const { did, origin } of await subscriptions.list())
      if (origin === "config" && !dids.includes(did)) await subscriptions.remove(did);
    for (const did of dids) if (!(await subscriptions.get(did))) await subscriptions.add(did, "config");

    const intake = createIntake({ app, apply: scripts?.applyLabel });
    let crew: Crew | undefined;
    const byUri = createByUri({ app, intake, labelers: () => crew?.incomplete() ?? [] });
    app.hook("record:after", (changes) => byUri.indexed(changes));
    labelersAdmin(app, subscriptions, async () => crew?.refresh());
    app.xrpc.decorate(labelDecorator(app, subscriptions));

    const sweep = setInterval(() => {
      sweepExpired(app.db, app.clock.now()).catch((error) =>
        app.log.error("expired labels could not be deleted", { error: explain(error) }),
      );
    }, sweepEveryMs).unref();
    app.onClose(() => clearInterval(sweep));
    app.hook("app:ready", () => {
      app.onClose(() => byUri.close());
      const candidacy = app.leader.while("labelers", async (signal) => {
        const mine = startCrew({ app, subscriptions, intake }, signal);
        crew = mine;
        await endOf(signal);
        crew = undefined;
        await mine.close();
      });
      app.onClose(() => candidacy.close());
    });
    return { intake, sweep: () => sweepExpired(app.db, app.clock.now()) };
  },
});

function endOf(signal: AbortSignal): Promise<void> {
  return new Promise((over) => {
    if (signal.aborted) over();
    else signal.addEventListener("abort", () => over(), { once: true });
  });
}
