import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { loadConfig as loadLayers } from "c12";
import { createJiti, type Jiti } from "jiti";
import { HappyViewError, isHappyViewError } from "../errors.ts";
import { importFile } from "./import-file.ts";
import { checkConfig } from "./schema.ts";
import { resolveConfig, type Config, type Mode } from "./resolve.ts";

export interface LoadOptions {
  /** The project folder. @default the working directory */
  root?: string;
  mode: Mode;
  /** @default process.env, into which the `.env` of the project is read first */
  env?: Readonly<Record<string, string | undefined>>;
  /** Variables from the command line: they win over `env`. */
  overrides?: Readonly<Record<string, string>>;
  /** Told of the files before their content is checked, so that `dev` sees the edit that corrects one. */
  onFiles?: (files: string[]) => void;
}

export interface LoadedConfig {
  config: Config;
  /** The file, and the files of the layers it extends; what `dev` watches and `build` bundles. */
  files: string[];
}

const name = "happyview";

/** Finds `happyview.config.*`, merges its layers (c12, defu), checks the result and applies the environment. */
export async function loadConfig(options: LoadOptions): Promise<LoadedConfig> {
  const root = resolve(options.root ?? process.cwd());
  const loaded = await readLayers(root, options.mode);
  const file = loaded.configFile;
  if (!file || !loaded.layers?.some((layer) => layer.config))
    throw new HappyViewError("CONFIG_NOT_FOUND", {
      message: `there is no happyview.config.ts in ${root}`,
      hint: "run the command in a project folder, name one with --root, or make one with `npm create happyview`",
    });
  const paths = (loaded.layers ?? []).flatMap((layer) => {
    if (!layer.configFile) return [];
    // c12 names the project's own layer without its extension: watched like that, no edit would be seen.
    return [layer.configFile === `${name}.config` ? file : resolve(layer.cwd ?? root, layer.configFile)];
  });
  const files = [...new Set(paths)];
  options.onFiles?.(files);
  const user = checkConfig(withoutLayerKeys(loaded.config), relativeName(root, file));
  // Only now: reading the layers has put the project's .env into process.env.
  const env = options.env ?? process.env;
  return {
    config: resolveConfig(user, {
      mode: options.mode,
      root,
      env: options.overrides ? { ...env, ...options.overrides } : env,
    }),
    files,
  };
}

async function readLayers(root: string, mode: Mode): Promise<Awaited<ReturnType<typeof loadLayers>>> {
  try {
    return await loadLayers({
      name,
      cwd: root,
      envName: mode,
      dotenv: true,
      rcFile: false,
      globalRc: false,
      packageJson: false,
      resolve: refuseMissing,
      // From source, the config must share our modules instead of getting a second copy from jiti.
      ...(import.meta.url.endsWith(".ts") ? { jiti: sourceLoader(root) } : {}),
    });
  } catch (cause) {
    if (isHappyViewError(cause)) throw cause;
    throw new HappyViewError("CONFIG_INVALID", {
      message: `happyview.config.ts in ${root} cannot be loaded`,
      hint: "correct the error below; the config is a module that exports defineConfig({ … })",
      cause,
    });
  }
}

/** c12 only warns of a layer that is not there; with half of its config an instance must not start. */
function refuseMissing(layer: string, { cwd = "" }: { cwd?: string }): undefined {
  if (!/^\.{1,2}\//.test(layer) || existsSync(resolve(cwd, layer))) return undefined;
  throw new HappyViewError("CONFIG_INVALID", {
    message: `\`extends\` names ${layer}, which is not in ${cwd}`,
    hint: "name a folder with a happyview.config.ts, or a config file with its extension",
  });
}

function sourceLoader(root: string): Jiti {
  const load = async (path: string): Promise<unknown> => {
    const loaded = (await importFile(path)) as { default?: unknown };
    return loaded.default ?? loaded;
  };
  // c12 only calls `import`, always for the default export.
  return Object.assign(createJiti(root), { import: load as Jiti["import"] });
}

function withoutLayerKeys(config: object): object {
  return Object.fromEntries(
    Object.entries(config).filter(([key]) => key !== "extends" && !key.startsWith("$")),
  );
}

function relativeName(root: string, file: string): string {
  return file.startsWith(root) ? file.slice(root.length + 1) : file;
}
