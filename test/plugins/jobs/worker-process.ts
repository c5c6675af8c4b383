import { createApp } from "../../../core/app.ts";
import { resolveConfig } from "../../../core/config/resolve.ts";
import { definePlugin } from "../../../core/plugin.ts";
import { jobs } from "../../../plugins/jobs/index.ts";
import { silent } from "../../setup/log.ts";

/** A process of its own that takes a job and never finishes it; the test kills it. */
const stuck = definePlugin({
  name: "stuck",
  needs: { jobs },
  setup(app, _options: object, { jobs }) {
    const own = jobs.define("happyview.test", async (job) => {
      await job.progress({ by: "the first process" });
      process.send?.(job.id);
      await job.wait(3600);
    });
    app.hook("app:ready", async () => {
      await own.create({}, { createdBy: "did:plc:creator" });
    });
  },
});

const config = resolveConfig(
  { plugins: [jobs({ leaseMs: 3000 }), stuck()] },
  { mode: "test", root: ".", env: process.env },
);
await createApp({ config, log: silent });
setInterval(() => {}, 1000); // nothing else keeps it alive
