import { serve } from "../../../core/server/node.ts";
import { adminHeaders, limitedCaller, limitedHeaders, startApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { testHttp } from "../../suites/http.ts";

const [sqlite] = databases();
if (!sqlite) throw new Error("SQLite is the first subject");

testHttp({
  name: "the Node server, over a socket",
  async start() {
    const { app, stop } = await startApp(sqlite, { plugins: [limitedCaller()] });
    const served = await serve(app, { host: "127.0.0.1", port: 0 });
    return {
      dialect: "sqlite",
      admin: adminHeaders,
      limited: limitedHeaders,
      request: (path, init) => fetch(served.url + path, { redirect: "manual", ...init }),
      async ingest(list) {
        for (const event of list) await app.records.pipeline.ingest(event);
        await app.records.pipeline.flush();
      },
      async stop() {
        await served.close(1000);
        await stop();
      },
    };
  },
});
