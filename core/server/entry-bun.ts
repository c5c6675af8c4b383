import { serveBun } from "./bun.ts";
import { closeOnSignal } from "./node.ts";
import { openProject } from "./runtime.ts";

// Nitro's own entry for Bun never hears of SIGTERM.
await openProject(async (app) => {
  const server = serveBun(app, app.config.server);
  app.log.info(`listening on ${server.url.origin}`);
  closeOnSignal(async () => {
    await Promise.race([server.stop(), new Promise((resolve) => setTimeout(resolve, 5000))]);
    await app.close();
  });
});
