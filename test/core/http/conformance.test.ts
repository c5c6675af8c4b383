import { definePlugin } from "../../../core/plugin.ts";
import { adminHeaders, limitedCaller, limitedHeaders, startApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { testHttp } from "../../suites/http.ts";

for (const subject of databases())
  testHttp({
    name: `app.fetch on ${subject.name}`,
    async start() {
      let events = 0;
      const counter = definePlugin({
        name: "event-counter",
        setup(app) {
          // Who was refused is told; nothing else may have happened.
          app.hook("event", ({ type }) => void (events += type === "auth.permission_denied" ? 0 : 1));
        },
      });
      const { app, request, stop } = await startApp(subject, { plugins: [limitedCaller(), counter()] });
      return {
        dialect: subject.name,
        admin: adminHeaders,
        limited: limitedHeaders,
        request,
        stop,
        events: () => events,
        async ingest(list) {
          for (const event of list) await app.records.pipeline.ingest(event);
          await app.records.pipeline.flush();
        },
      };
    },
  });
