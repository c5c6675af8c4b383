import { resolveConfig } from "../../../core/config/resolve.ts";
import { createApp, createLogger } from "../../../core/index.ts";
import { closeOnSignal } from "../../../core/server/node.ts";
import { backfill, type BackfillOptions } from "../../../plugins/backfill/index.ts";
import { fewConnections, lexiconFiles, quick } from "./_shared.ts";

/** What one app of the process works on. */
export interface Task {
  databaseUrl: string;
  plcUrl: string;
  relayUrl: string;
  collections: string[];
  options?: BackfillOptions;
}

// A process that works on the jobs of some databases until it is killed; TASKS says on which.
const tasks = JSON.parse(process.env["TASKS"] ?? "[]") as Task[];
const apps = await Promise.all(
  tasks.map(({ databaseUrl, plcUrl, relayUrl, collections, options }) =>
    createApp({
      config: resolveConfig(
        {
          database: { url: databaseUrl, maxConnections: 4 },
          network: { plcUrl, relayUrl },
          plugins: [backfill({ ...quick, ...options })],
        },
        { mode: "test", root: ".", env: fewConnections },
      ),
      files: { lexicons: lexiconFiles(collections) },
      log: createLogger({ level: "error" }),
    }),
  ),
);
closeOnSignal(async () => {
  await Promise.all(apps.map((app) => app.close()));
});
