import type { App } from "./app.ts";
import type { RemoteServer } from "./cli/remote.ts";
import { HappyViewError } from "./errors.ts";
import type { Database } from "./db/database.ts";
import type { Migration } from "./db/migrate.ts";
import type { Logger } from "./log.ts";
import type { PluginApp } from "./plugin-app.ts";
import type { SourceFile } from "./resources/files.ts";

/** A command of the CLI that a plugin brings: `happyview <name>`. */
export interface PluginCommand<Api = unknown> {
  description: string;
  /** citty's argument definitions. */
  args?: Record<
    string,
    { type: "string" | "boolean" | "positional"; description: string; required?: boolean }
  >;
  /** Runs on an empty instance in memory, with the project's files deployed and these plugins added. */
  instance?: { plugins?: () => Plugin[] };
  /** Returns the result as data (`--json`) and as text for people. */
  run(context: {
    api: Api;
    /** The instance it runs on. */
    app: App;
    args: Readonly<Record<string, unknown>>;
    db: Database;
    log: Logger;
  }): Promise<{ value: unknown; text?: string; failed?: boolean }>;
}

/** A command of the CLI that speaks to a running server by its admin API, wherever that runs. */
export interface RemoteCommand {
  description: string;
  args?: PluginCommand["args"];
  run(context: {
    server: RemoteServer;
    args: Readonly<Record<string, unknown>>;
    /** Whether somebody watches the terminal. */
    isInteractive: boolean;
    /** Aborts at Ctrl-C. */
    signal: AbortSignal;
  }): Promise<{ value: unknown; text?: string; failed?: boolean }>;
}

/** What `happyview check` says of a project that is no error. */
export interface CheckNote {
  /** A warning is about something that works and is probably not what was meant. */
  level: "info" | "warning";
  message: string;
  hint?: string | undefined;
  /** Of the project, with the line that it is about. */
  file?: string | undefined;
  line?: number | undefined;
}

/** The project as `happyview check` shows it to plugins: deployed on an empty instance in memory. */
export interface CheckContext<Api = unknown> {
  api: Api;
  db: Database;
  /** The project's files by folder: `scripts`, `lexicons`. */
  files: Readonly<Record<string, readonly SourceFile[]>>;
}

/** A plugin with its options bound, as it stands in the config. `Api` is what other plugins get of it. */
export interface Plugin<Api = unknown> {
  readonly name: string;
  readonly needs: readonly string[];
  readonly wants: readonly string[];
  readonly migrations: readonly Migration[];
  readonly commands: Readonly<Record<string, PluginCommand>>;
  readonly remoteCommands?: Readonly<Record<string, RemoteCommand>>;
  check?(context: CheckContext): Promise<CheckNote[]>;
  readonly setup: (app: PluginApp, apis: ReadonlyMap<string, unknown>) => Api | Promise<Api>;
}

/** What `definePlugin` returns: call it with options in the config, name it in another plugin's `needs`. */
export interface PluginFactory<Args extends readonly unknown[] = never, Api = unknown> {
  (...args: Args): Plugin<Api>;
  readonly pluginName: string;
}

type Needs = Record<string, PluginFactory<never, unknown>>;
type ApiOf<F> = F extends PluginFactory<never, infer Api> ? Api : never;
type Apis<N extends Needs, W extends Needs> = { [K in keyof N]: ApiOf<N[K]> } & {
  [K in keyof W]?: ApiOf<W[K]>;
};

export interface PluginDefinition<Options, Api, N extends Needs, W extends Needs> {
  /** Unique, in kebab-case; the prefix of the plugin's tables, log lines and metrics. */
  name: string;
  /** Plugins that must be in the config; their APIs are the third argument of setup. */
  needs?: N;
  /** Plugins that are used when they are in the config. */
  wants?: W;
  migrations?: readonly Migration[];
  setup: (app: PluginApp, options: Options, apis: Apis<N, W>) => Api | Promise<Api>;
  /** Commands by name; each gets what setup returned as `api` (typed when it stands below `setup`). */
  commands?: Record<string, PluginCommand<NoInfer<Api>>>;
  remoteCommands?: Record<string, RemoteCommand>;
  /** What `happyview check` is to say of a project (typed when it stands below `setup`). */
  check?(context: CheckContext<NoInfer<Api>>): Promise<CheckNote[]>;
}

type FactoryArgs<Options> = object extends Options ? [options?: Options] : [options: Options];

/**
 * Defines a plugin. Options, needed APIs and the plugin's own API are inferred from `setup`.
 * @example
 * export const likes = definePlugin({
 *   name: "likes", needs: { jobs },
 *   setup(app, options: { limit?: number }, { jobs }) { … return { count }; },
 * });
 */
export function definePlugin<Options, Api, N extends Needs = {}, W extends Needs = {}>(
  definition: PluginDefinition<Options, Api, N, W>,
): PluginFactory<FactoryArgs<Options>, Api> {
  const names = (record: Needs | undefined): string[] => Object.values(record ?? {}).map((f) => f.pluginName);
  const factory = (options?: Options): Plugin<Api> => ({
    name: definition.name,
    needs: names(definition.needs),
    wants: names(definition.wants),
    migrations: definition.migrations ?? [],
    // A command is only ever run with the API of its own plugin.
    commands: (definition.commands ?? {}) as Record<string, PluginCommand>,
    remoteCommands: definition.remoteCommands ?? {},
    check: definition.check as Plugin["check"], // with the API of its own plugin, like a command
    setup(app, apis) {
      const given = Object.entries({ ...definition.needs, ...definition.wants }).map(
        ([key, f]) => [key, apis.get(f.pluginName)] as const,
      );
      // FactoryArgs makes options optional only where an empty object is a valid Options.
      return definition.setup(app, options ?? ({} as Options), Object.fromEntries(given) as Apis<N, W>);
    },
  });
  return Object.assign(factory, { pluginName: definition.name });
}

/** Orders plugins so that each comes after what it needs and wants; otherwise the order of the config stays. */
export function orderPlugins(plugins: readonly Plugin[]): Plugin[] {
  const byName = new Map<string, Plugin>();
  for (const plugin of plugins) {
    if (byName.has(plugin.name))
      throw new HappyViewError("PLUGIN_DUPLICATE", {
        message: `the plugin "${plugin.name}" is listed twice`,
        hint: "keep one of the two entries under `plugins` in happyview.config.ts",
      });
    byName.set(plugin.name, plugin);
  }
  const ordered: Plugin[] = [];
  const state = new Map<string, "open" | "done">();
  const visit = (plugin: Plugin): void => {
    if (state.get(plugin.name)) return; // "open" is a cycle of wants: the order of the config decides
    state.set(plugin.name, "open");
    for (const name of plugin.needs) {
      const needed = byName.get(name);
      if (!needed) throw missingNeed(plugin.name, name);
      visit(needed);
    }
    for (const name of plugin.wants) {
      const wanted = byName.get(name);
      if (wanted) visit(wanted);
    }
    state.set(plugin.name, "done");
    ordered.push(plugin);
  };
  for (const plugin of plugins) visit(plugin);
  return ordered;
}

function missingNeed(plugin: string, name: string): HappyViewError {
  const call = name.replace(/-([a-z])/g, (_, c: string) => c.toUpperCase());
  return new HappyViewError("PLUGIN_NEED_MISSING", {
    message: `the plugin "${plugin}" needs "${name}", which is not in the config`,
    hint: `add ${call}() to \`plugins\` in happyview.config.ts, with import { ${call} } from "happyview/plugins/${name}"`,
  });
}
