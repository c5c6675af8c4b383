import { existsSync } from "node:fs";
import { files, layers } from "#happyview/project";
import { createApp, type App } from "../app.ts";
import { checkConfig } from "../config/schema.ts";
import { resolveConfig } from "../config/resolve.ts";
import { explain } from "../errors.ts";
import { createLogger } from "../log.ts";
import { mergeLayers } from "./layers.ts";

/** Opens the project that this output was built from; says why and exits with 1 when it cannot. */
export async function openProject<T>(run: (app: App) => Promise<T>): Promise<T> {
  const log = createLogger();
  try {
    if (existsSync(".env")) process.loadEnvFile?.(".env");
    const user = checkConfig(await mergeLayers(layers, "production"), "happyview.config.ts");
    const config = resolveConfig(user, { mode: "production", root: process.cwd(), env: process.env });
    const app = await createApp({ config, files, log });
    return await run(app).catch(async (error: unknown) => {
      await app.close();
      throw error;
    });
  } catch (error) {
    log.error(`the server cannot start: ${explain(error)}`);
    return process.exit(1);
  }
}
