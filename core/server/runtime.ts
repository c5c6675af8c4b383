import { existsSync } from "node:fs";
import { files, layers } from "#happyview/project";
import { createApp, type App } from "../app.ts";
import { checkConfig } from "../config/schema.ts";
import { resolveConfig } from "../config/resolve.ts";
import { explain, isHappyViewError } from "../errors.ts";
import { createLogger, type Logger } from "../log.ts";
import { mergeLayers } from "./layers.ts";

/** Opens the project that this output was built from; says why and exits with 1 when it cannot. */
export async function openProject<T>(run: (app: App) => Promise<T>): Promise<T> {
  const log = createLogger();
  try {
    if (existsSync(".env")) process.loadEnvFile?.(".env");
    const user = checkConfig(mergeLayers(layers, "production"), "happyview.config.ts");
    const config = resolveConfig(user, { mode: "production", root: process.cwd(), env: process.env });
    return await run(await createApp({ config, files, log }));
  } catch (error) {
    report(error, log);
    return process.exit(1);
  }
}

function report(error: unknown, log: Logger): void {
  const hint = isHappyViewError(error) ? error.hint : undefined;
  log.error(`the server cannot start: ${explain(error)}`, hint ? { hint } : undefined);
}
