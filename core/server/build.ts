import { existsSync } from "node:fs";
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build as bundle, createNitro, prepare, type Nitro } from "nitropack";
import { loadConfig } from "../config/load.ts";
import { HappyViewError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { readFolder, resourceFolders, type SourceFile } from "../resources/files.ts";
import { dockerfile, dockerignore } from "./docker.ts";
import { allowMissingPackages, leaveOutConfigLoader } from "./leave-out.ts";
import { createPluginPackages } from "./plugin-packages.ts";
import { workerChunks } from "./worker-chunks.ts";

export type Preset = "node" | "bun" | "docker";

export interface BuildOptions {
  /** The project folder. */
  root: string;
  /** What the output runs on. */
  preset: Preset;
  /** @default `.output` in the project folder */
  outDir?: string;
  log: Logger;
}

export interface Built {
  outDir: string;
  /** How to run it, from the project folder. */
  command: string;
}

const isSource = import.meta.url.endsWith(".ts");
const extension = isSource ? "ts" : "js";
const here = dirname(fileURLToPath(import.meta.url));
const packageRoot = join(here, "..", "..");

/** Bundles a project, its lexicons and scripts and what it needs of this package into a folder that runs alone. */
export async function build({
  root,
  preset,
  outDir = join(root, ".output"),
  log,
}: BuildOptions): Promise<Built> {
  const { files: configs } = await loadConfig({ root, mode: "production" });
  const resources = await Promise.all(
    resourceFolders.map(async (folder) => [folder, await readFolder(root, folder)] as const),
  );
  const nitro = await createNitro(
    nitroConfig(root, preset, outDir, projectModule(configs, Object.fromEntries(resources))),
  );
  try {
    await prepare(nitro);
    await bundle(nitro);
    await addWasm(nitro);
  } catch (cause) {
    throw new HappyViewError("BUILD_FAILED", {
      message: `the project in ${root} cannot be bundled`,
      hint: "the cause names the file; what the config imports must resolve from the project folder",
      cause,
    });
  } finally {
    await nitro.close();
    await rm(join(root, ".nitro"), { recursive: true, force: true });
  }
  if (preset === "docker") {
    await writeFile(join(outDir, "Dockerfile"), dockerfile);
    await writeFile(join(outDir, ".dockerignore"), dockerignore);
  }
  log.debug("built", { outDir, preset });
  return { outDir, command: commands[preset] };
}

const commands: Record<Preset, string> = {
  node: "node .output/server/index.mjs",
  bun: "bun .output/server/index.mjs",
  docker: "docker build -t my-appview .output",
};

function nitroConfig(
  root: string,
  preset: Preset,
  outDir: string,
  project: string,
): Parameters<typeof createNitro>[0] {
  const runtime = preset === "bun" ? "bun" : "node";
  return {
    rootDir: root,
    srcDir: root,
    buildDir: join(root, ".nitro"),
    output: { dir: outDir, serverDir: join(outDir, "server"), publicDir: join(outDir, "public") },
    preset: runtime === "bun" ? "bun" : "node-server",
    entry: join(here, `entry-${runtime}.${extension}`),
    compatibilityDate: "2026-01-01",
    logLevel: 1,
    scanDirs: [],
    noPublicDir: true,
    serveStatic: false,
    sourceMap: false,
    imports: false,
    esbuild: { options: { target: "es2023" } },
    exportConditions: isSource ? ["happyview-source"] : [],
    alias: {
      "happyview/plugins": join(packageRoot, "plugins"),
      happyview: join(packageRoot, "core", `index.${extension}`),
    },
    virtual: { "#happyview/project": project },
    // Ours is bundled, whatever folder it is installed in; packages are copied with what they load at run time.
    externals: { inline: [packageRoot, root, "#happyview", createPluginPackages()] },
    rollupConfig: {
      output: { dir: join(outDir, "server") },
      plugins: [leaveOutConfigLoader(), allowMissingPackages(), workerChunks()],
    },
  };
}

/** The project as a module: its configs are imported, so that they are bundled; its files are text. */
function projectModule(configs: readonly string[], files: Record<string, SourceFile[]>): string {
  const imports = configs.map((path, i) => `import layer${i} from ${JSON.stringify(path)};`);
  return `${imports.join("\n")}
export const layers = [${configs.map((_, i) => `layer${i}`).join(", ")}];
export const files = ${JSON.stringify(files)};`;
}

/** Nobody imports the WebAssembly file, so the tracer does not see it: the engine looks it up by its package. */
async function addWasm(nitro: Nitro): Promise<void> {
  const source = dirname(createRequire(import.meta.url).resolve("wasmoon/package.json"));
  const target = join(nitro.options.output.serverDir, "node_modules", "wasmoon");
  await mkdir(join(target, "dist"), { recursive: true });
  for (const file of ["package.json", "dist/glue.wasm", "LICENSE"])
    if (existsSync(join(source, file))) await cp(join(source, file), join(target, file));
}
