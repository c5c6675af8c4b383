import { join, sep } from "node:path";
import { watch, type FSWatcher } from "chokidar";
import { defineCommand } from "citty";
import { createApp, type App } from "../app.ts";
import { loadConfig, type LoadedConfig } from "../config/load.ts";
import { explain } from "../errors.ts";
import { createLogger, type Logger } from "../log.ts";
import { readFolder, resourceFolders } from "../resources/files.ts";
import { closeOnSignal, serve } from "../server/node.ts";
import { commonArgs, createOutput, fail } from "./output.ts";
import { readProject } from "./project.ts";

export const devCommand = defineCommand({
  meta: {
    name: "dev",
    description: "Serve the project and apply edits to config, lexicons and scripts as they are saved",
  },
  args: {
    ...commonArgs,
    port: { type: "string", description: "The port to listen on", valueHint: "number" },
  },
  async run({ args }) {
    try {
      const env = args.port === undefined ? process.env : { ...process.env, PORT: args.port };
      const dev = await startDev({
        root: args.root,
        env,
        log: createLogger(args.json ? { json: true } : {}),
      });
      createOutput(args).result(
        { url: dev.url },
        `\n  HappyView is at ${dev.url}\n  health   ${dev.url}/health/ready\n  metrics  ${dev.url}/metrics\n`,
      );
      closeOnSignal(dev.close);
    } catch (error) {
      fail(error, args);
    }
  },
});

export interface Dev {
  url: string;
  /** The app that answers now; a changed config replaces it. */
  app(): App;
  close(): Promise<void>;
}

/** Serves a project from its sources and follows its files. */
export async function startDev(options: { root: string; env: NodeJS.ProcessEnv; log: Logger }): Promise<Dev> {
  const { log } = options;
  const load = (): Promise<LoadedConfig> =>
    loadConfig({ root: options.root, mode: "development", env: options.env });
  const loaded = await load();
  const { root, server } = loaded.config;
  // Before the files are read: an edit in between would be neither read nor seen.
  const watcher = await watchFiles([...resourceFolders.map((folder) => join(root, folder)), ...loaded.files]);
  let app = await createApp({ config: loaded.config, files: await readProject(root), log });
  const served = await serve({ handle: (request) => app.handle(request) }, server).catch(
    async (error: unknown) => {
      await app.close();
      throw error;
    },
  );

  async function reload(): Promise<void> {
    try {
      const { config } = await load();
      const next = await createApp({ config, files: await readProject(root), log });
      const old = app;
      app = next;
      await old.close();
      log.info("the config changed; a new instance answers");
    } catch (error) {
      log.error("the changed config is refused; the last good one keeps serving", { error: explain(error) });
    }
  }

  const apply = collect(async (paths) => {
    if (paths.some((path) => loaded.files.includes(path))) return reload();
    const touched = resourceFolders.filter((folder) =>
      paths.some((path) => path.startsWith(join(root, folder) + sep)),
    );
    const files = await Promise.all(
      touched.map(async (folder) => [folder, await readFolder(root, folder)] as const),
    );
    await app.resources.deploy(Object.fromEntries(files));
  }, log);
  watcher.on("all", (_event, path) => apply(path));

  return {
    url: served.url,
    app: () => app,
    async close() {
      await watcher.close();
      await served.close();
      await app.close();
    },
  };
}

async function watchFiles(paths: string[]): Promise<FSWatcher> {
  const watcher = watch(paths, { ignoreInitial: true });
  await new Promise<void>((resolve) => watcher.once("ready", resolve));
  return watcher;
}

/** Gathers what is saved within a moment, since editors write a file in several steps; runs one round at a time. */
function collect(round: (paths: string[]) => Promise<void>, log: Logger): (path: string) => void {
  let paths: string[] = [];
  let running: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  return (path) => {
    paths.push(path);
    clearTimeout(timer);
    timer = setTimeout(() => {
      const batch = paths;
      paths = [];
      running = running
        .then(() => round(batch))
        .catch((error) => log.error("an edit could not be applied", { error: explain(error) }));
    }, 60);
  };
}
