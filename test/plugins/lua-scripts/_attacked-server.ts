import { createApp } from "../../../core/app.ts";
import { createLogger } from "../../../core/log.ts";
import { definePlugin } from "../../../core/plugin.ts";
import { serve } from "../../../core/server/node.ts";
import { luaScripts } from "../../../plugins/lua-scripts/index.ts";
import { adminHeaders, testConfig } from "../../setup/app.ts";

/** A server in a process of its own, so that its memory is its own; `/memory` tells how many bytes it holds. */
const [url = "", http = "", milliseconds] = process.argv.slice(2);

const memory = definePlugin({
  name: "memory",
  setup(app) {
    app.http.route("GET /memory", () => {
      globalThis.gc?.();
      return { rss: process.memoryUsage.rss() };
    });
  },
});

const app = await createApp({
  config: testConfig({
    database: { url },
    plugins: [
      memory(),
      luaScripts({
        workers: 2,
        retryDelaysMs: [1],
        limits: { milliseconds: Number(milliseconds), memoryBytes: 32 * 1024 * 1024 },
        http: { allow: [http] },
      }),
    ],
  }),
  log: createLogger({ level: "silent" }),
});
const served = await serve(app, { host: "127.0.0.1", port: 0 });
process.stdout.write(`${JSON.stringify({ url: served.url, adminHeaders })}\n`);
