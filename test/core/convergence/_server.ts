import { setImmediate as nextTurn } from "node:timers/promises";
import { createApp, createLogger, definePlugin } from "../../../core/index.ts";
import { resolveConfig } from "../../../core/config/resolve.ts";
import { closeOnSignal } from "../../../core/server/node.ts";
import { simulatedStart } from "../../../playground/network/clock.ts";
import { firehose } from "../../../plugins/firehose/index.ts";
import { collections } from "./_stream.ts";

/** A server that is killed and started again; DATABASE_URL and JETSTREAM_URL say on what. */

// Some records wait a few turns, so that a kill finds events of every state of progress.
const waiting = definePlugin({
  name: "waiting",
  setup(app) {
    let count = 0;
    app.records.pipeline.intercept({
      wants: (_, collection) => collection === collections[0],
      handle: async () => {
        for (let turns = ++count % 5; turns > 0; turns--) await nextTurn();
      },
    });
  },
});

// A stream that was never read begins now, and no cursor goes beyond the present: the whole stream lies between the two.
let present = simulatedStart / 1000;
const connected = definePlugin({
  name: "connected",
  setup(app) {
    app.hook("event", ({ type }) => {
      if (type === "jetstream.connected") present = simulatedStart / 1000 + 3_600_000;
    });
  },
});

const config = resolveConfig(
  { plugins: [firehose({ maxBackoffMs: 50, now: () => present }), waiting(), connected()] },
  { mode: "production", root: ".", env: process.env },
);
const lexicons = collections.map((id) => ({
  path: `${id}.json`,
  name: id,
  text: JSON.stringify({ lexicon: 1, id, defs: { main: { type: "record" } } }),
}));
const app = await createApp({ config, files: { lexicons }, log: createLogger({ level: "warn" }) });
closeOnSignal(app.close);
