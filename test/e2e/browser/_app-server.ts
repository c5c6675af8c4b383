import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** Serves the apps at `/<app>` and `/<app>/callback`, each with its config; and the directory of DIDs at `/did:…`. */
export interface AppServer {
  url: string;
  /** What the page of an app finds as `globalThis.config`. */
  configure(app: string, config: object): void;
  close(): void;
}

export async function startAppServer(apps: readonly string[], plcUrl: string): Promise<AppServer> {
  const bundles = new Map<string, string>();
  for (const app of apps) bundles.set(app, await bundle(app));
  const configs = new Map<string, object>();

  async function answer(url: string, response: ServerResponse): Promise<void> {
    const [, first = "", second = ""] = url.split(/[/?#]/);
    if (decodeURIComponent(first).startsWith("did:")) {
      const found = await fetch(plcUrl + url);
      response.writeHead(found.status, { "content-type": "application/json" }).end(await found.text());
    } else if (second === "app.js")
      response.writeHead(200, { "content-type": "text/javascript" }).end(bundles.get(first));
    else
      response.writeHead(200, { "content-type": "text/html" }).end(`<!doctype html>
        <title>${first}</title>
        <script>globalThis.config = ${JSON.stringify(configs.get(first))}</script>
        <script type="module" src="/${first}/app.js"></script>`);
  }

  const server = createServer((request, response) => {
    answer(request.url ?? "/", response).catch((error: unknown) =>
      response.writeHead(500).end(String(error)),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    configure: (app, config) => void configs.set(app, config),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function bundle(app: string): Promise<string> {
  const entry = fileURLToPath(new URL(`${app}-app.js`, import.meta.url));
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    format: "esm",
    platform: "browser",
    write: false,
  });
  return outputFiles[0]?.text ?? "";
}
