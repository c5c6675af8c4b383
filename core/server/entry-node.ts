import { openProject } from "./runtime.ts";
import { closeOnSignal, serve } from "./node.ts";

// Nitro's own entry builds an h3 event and web objects for every request, and its handlers run before the app is open.
await openProject(async (app) => {
  const served = await serve(app, app.config.server);
  app.log.info(`listening on ${served.url}`);
  closeOnSignal(async () => {
    await served.close();
    await app.close();
  });
});
