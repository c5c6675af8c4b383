import { isLocal } from "../../core/config/resolve.ts";
import { explain } from "../../core/errors.ts";
import { definePlugin } from "../../core/index.ts";
import { luaScripts } from "../lua-scripts/index.ts";
import { labelersAdmin } from "./admin.ts";
import { createByUri } from "./by-uri.ts";
import { startCrew, type Crew } from "./crew.ts";
import { createGate } from "./gate.ts";
import { labelDecorator } from "./hydrate.ts";
import { createIdentities } from "./identities.ts";
import { createIntake } from "./intake.ts";
import { migrations } from "./migrations.ts";
import { labelerResource } from "./resource.ts";
import { createStatus } from "./status.ts";
import { createSubscriptions } from "./subscriptions.ts";
import { sweepExpired } from "./sweep.ts";
import { createVerifier } from "./verify.ts";
import { createWriter } from "./write.ts";

export interface LabelersOptions {
  /** How many labelers there can be, those of the config included. @default 50 */
  maxLabelers?: number;
  /** Records that wait until one labeler was asked for their labels; further ones are not asked for. @default 10_000 */
  maxWaitingUris?: number;
  /** The longest wait between two attempts to connect, in milliseconds. @default 300_000 */
  maxBackoffMs?: number;
  /** A stream that is silent for so long, in milliseconds, has brought the labeler's whole history. @default 5000 */
  quietMs?: number;
  /** Between two looks at what other processes have changed, in milliseconds. @default 2000 */
  lookEveryMs?: number;
  /** Between two rounds that take expired labels away, in milliseconds. @default 600_000 */
  sweepEveryMs?: number;
  /** In [0, 1); spreads reconnects. @default Math.random */
  random?: () => number;
}

/**
 * Labels of the labelers that this instance follows: checked, shown to `labeler.apply` scripts, stored, and served with
 * the records they are about (sync-and-xrpc §5). Of several processes on one database one reads the streams.
 * @example
 * export default defineConfig({ plugins: [firehose(), luaScripts(), labelers()], labelers: ["did:plc:ar7c4by46qjdydhdevvrndac"] });
 */
export const labelers = definePlugin({
  name: "labelers",
  wants: { luaScripts },
  migrations,
  async setup(app, options: LabelersOptions, apis) {
    const { quietMs = 5000, lookEveryMs = 2000, maxBackoffMs = 300_000, random } = options;
    const { clock, db, events, log } = app;
    const { now } = clock;
    const subscriptions = await createSubscriptions(app, options.maxLabelers ?? 50);
    const status = createStatus(app);
    const identities = createIdentities(app.identity, now);
    const verify = createVerifier(identities, { random });
    const intake = createIntake({ verify, apply: apis.luaScripts?.applyLabel, status });
    const write = createWriter({ app, subscriptions, status });
    const reading = { identities, subscriptions, intake, write, status, now, random };
    const byUri = createByUri({
      ...reading,
      fetch: app.fetch,
      log,
      maxWaiting: options.maxWaitingUris ?? 10_000,
    });
    const gate = createGate({ allowPrivate: isLocal(app.config) });
    let crew: Crew | undefined;

    app.resource(labelerResource(subscriptions, events));
    labelersAdmin(app, subscriptions, async () => crew?.refresh());
    app.xrpc.decorate(labelDecorator(app, subscriptions));
    app.health.check("labelers", status.check);
    app.hook("record:after", byUri.indexed);
    app.onClose(status.close);

    /** Reads the streams and sweeps as long as this process leads. */
    async function lead(signal: AbortSignal): Promise<void> {
      const mine = startCrew({ ...reading, gate, events, log, lookEveryMs, maxBackoffMs, quietMs });
      crew = mine;
      const sweep = (): void =>
        void sweepExpired(db, now(), signal).catch((error) =>
          log.error("expired labels could not be taken away", { error: explain(error) }),
        );
      const sweeping = setInterval(sweep, options.sweepEveryMs ?? 600_000);
      sweep();
      await new Promise<void>((ended) => {
        if (signal.aborted) ended();
        else signal.addEventListener("abort", () => ended(), { once: true });
      });
      clearInterval(sweeping);
      crew = undefined;
      await mine.close();
    }

    app.hook("app:ready", () => {
      app.onClose(byUri.close);
      const looking = setInterval(() => {
        subscriptions
          .refresh()
          .catch((error) => log.warn("labelers cannot be read", { error: explain(error) }));
      }, lookEveryMs);
      app.onClose(() => clearInterval(looking.unref()));
      app.onClose(app.leader.while("labelers", lead).close);
    });
  },
});
