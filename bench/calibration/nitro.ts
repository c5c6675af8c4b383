import { fileURLToPath } from "node:url";
import { build, createNitro, prepare } from "nitropack";

/** Builds the bare Nitro server with the same two answers; returns its entry. */
export async function buildBareNitro(): Promise<string> {
  const rootDir = fileURLToPath(new URL("nitro", import.meta.url));
  const nitro = await createNitro({
    rootDir,
    preset: "node-server",
    compatibilityDate: "2026-01-01",
    logLevel: 0,
  });
  await prepare(nitro);
  await build(nitro);
  await nitro.close();
  return `${rootDir}/.output/server/index.mjs`;
}
