import { maxBodyBytes } from "../http/request.ts";
import { closeOnSignal } from "./node.ts";
import { openProject } from "./runtime.ts";

/** The part of Bun's API that we use. */
declare const Bun: {
  serve(options: {
    hostname: string;
    port: number;
    maxRequestBodySize: number;
    idleTimeout: number;
    fetch(request: Request): Promise<Response>;
  }): { url: URL; stop(closeActive?: boolean): Promise<void> };
};

// Nitro's own entry for Bun never hears of SIGTERM.
await openProject(async (app) => {
  const { host, port } = app.config.server;
  const server = Bun.serve({
    hostname: host,
    port,
    // Beyond our own limit, so that the answer is ours.
    maxRequestBodySize: maxBodyBytes * 8,
    idleTimeout: 60,
    fetch: app.fetch,
  });
  app.log.info(`listening on ${server.url.origin}`);
  closeOnSignal(async () => {
    await Promise.race([server.stop(), new Promise((resolve) => setTimeout(resolve, 5000))]);
    await app.close();
  });
});
