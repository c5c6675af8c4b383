import { createApp, createLogger, type App } from "../../core/index.ts";
import type { AppOptions } from "../../core/app.ts";
import type { UserConfig } from "../../core/config/define.ts";
import type { Environment } from "../../core/config/resolve.ts";
import { serve } from "../../core/server/node.ts";
import { testConfig } from "../setup/app.ts";
import { freePort } from "../setup/port.ts";
import type { Atmosphere } from "./_atmosphere.ts";

export const encryptionKey: string = Buffer.alloc(32, 7).toString("base64");

/** An app that listens, as those who reach it by a socket see it. */
export interface Instance {
  app: App;
  url: string;
  close(): Promise<void>;
}

export interface InstanceOptions extends Partial<Omit<AppOptions, "config">> {
  env?: Environment;
}

/** On 127.0.0.1, with a database in memory unless the config names one, in the atmosphere that is given. */
export async function startInstance(
  { plc }: Pick<Atmosphere, "plc">,
  user: UserConfig,
  { env, ...options }: InstanceOptions = {},
): Promise<Instance> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const config = testConfig(user, {
    ...(user.database ? {} : { DATABASE_URL: ":memory:" }),
    PLC_URL: plc.url,
    PUBLIC_URL: url,
    TOKEN_ENCRYPTION_KEY: encryptionKey,
    ...env,
  });
  const app = await createApp({ config, log: createLogger({ level: "error" }), ...options });
  const server = await serve(app, { host: "127.0.0.1", port });
  return {
    app,
    url,
    async close() {
      await server.close(100);
      await app.close();
    },
  };
}
