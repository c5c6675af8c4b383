import { join, sep } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { watch, type FSWatcher } from "chokidar";
import { defineCommand } from "citty";
import { createApp, type App } from "../app.ts";
import { loadConfig } from "../config/load.ts";
import { explain } from "../errors.ts";
import type { Reply } from "../http/reply.ts";
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
      const dev = await startDev({
        root: args.root,
        env: process.env,
        ...(args.port === undefined ? {} : { overrides: { PORT: args.port } }),
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

export interface DevOptions {
  root: string;
  env: NodeJS.ProcessEnv;
  /** Variables that win over `env` and over the project's `.env`. */
  overrides?: Readonly<Record<string, string>>;
  log: Logger;
}

/** How long a replaced instance may take for the requests it has begun. */
const retireMs = 10_000;

/** Serves a project from its sources and follows its files. */
export async function startDev(options: DevOptions): Promise<Dev> {
  const { log, ...where } = options;
  const loaded = await loadConfig({ ...where, mode: "development" });
  let { files } = loaded;
  const { root, server } = loaded.config;
  // Before the files are read: an edit in between would be neither read nor seen.
  const watcher = await watchFiles([...resourceFolders.map((folder) => join(root, folder)), ...files]);
  let app = await createApp({ config: loaded.config, files: await readProject(root), log });
  /** Requests that `app` has begun. */
  let open = new Set<Promise<Reply>>();
  const retiring = new Set<Promise<void>>();
  const handle: App["handle"] = (request) => {
    const begun = open;
    const answer = app.handle(request);
    begun.add(answer);
    const end = (): void => void begun.delete(answer);
    answer.then(end, end);
    return answer;
  };
  const served = await serve({ handle }, server).catch(async (error: unknown) => {
    await app.close();
    throw error;
  });

  async function reload(): Promise<void> {
    try {
      const { config } = await loadConfig({ ...where, mode: "development", onFiles: follow });
      const fresh = await createApp({ config, files: await readProject(root), log });
      const retired = retire(app, [...open]).finally(() => retiring.delete(retired));
      retiring.add(retired);
      app = fresh;
      open = new Set();
      log.info("the config changed; a new instance answers");
      const { host, port } = config.server;
      if (host !== server.host || port !== server.port)
        log.warn("the host or port changed; that needs a restart", { still: served.url });
    } catch (error) {
      log.error("the changed config is refused; the last good one keeps serving", { error: explain(error) });
    }
  }

  function follow(next: string[]): void {
    watcher.add(next.filter((file) => !files.includes(file)));
    watcher.unwatch(files.filter((file) => !next.includes(file)));
    files = next;
  }

  /** Requests that the old instance has begun are its own to finish, on its database. */
  async function retire(old: App, begun: readonly Promise<Reply>[]): Promise<void> {
    await Promise.race([Promise.allSettled(begun), sleep(retireMs, undefined, { ref: false })]);
    await old.close();
  }

  const apply = collect(async (paths) => {
    if (paths.some((path) => files.includes(path))) return reload();
    const touched = resourceFolders.filter((folder) =>
      paths.some((path) => path.startsWith(join(root, folder) + sep)),
    );
    const sources = await Promise.all(
      touched.map(async (folder) => [folder, await readFolder(root, folder)] as const),
    );
    await app.resources.deploy(Object.fromEntries(sources));
  }, log);
  watcher.on("all", (_event, path) => apply(path));

  return {
    url: served.url,
    app: () => app,
    async close() {
      await watcher.close();
      await served.close();
      await Promise.all(retiring);
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
