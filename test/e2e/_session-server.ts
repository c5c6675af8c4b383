import { createApp, createLogger } from "../../core/index.ts";
import { resolveConfig } from "../../core/config/resolve.ts";
import { serve } from "../../core/server/node.ts";
import { apiClients } from "../../plugins/api-clients/index.ts";
import { dpopSessions } from "../../plugins/dpop-sessions/index.ts";
import { client, collection, lexicon } from "./_statusphere.ts";

/** One of several servers on DATABASE_URL; says on standard output where it listens. */
const config = resolveConfig(
  {
    plugins: [
      apiClients({ clients: [client] }),
      dpopSessions({ refreshLeaseMs: Number(process.env["LEASE_MS"]) }),
    ],
    lexicons: { "xyz.statusphere.set": { targetCollection: collection } },
  },
  { mode: "test", root: ".", env: process.env },
);
const app = await createApp({
  config,
  log: createLogger({ level: "warn" }),
  files: { lexicons: [lexicon(collection, "record"), lexicon("xyz.statusphere.set", "procedure")] },
});
const server = await serve(app, { host: "127.0.0.1", port: 0 });
process.stdout.write(`${server.url}\n`);
