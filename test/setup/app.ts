import { createApp, type App, type AppOptions } from "../../core/app.ts";
import type { UserConfig } from "../../core/config/define.ts";
import { resolveConfig, type Config, type Environment } from "../../core/config/resolve.ts";
import { definePlugin } from "../../core/plugin.ts";
import { silent } from "./log.ts";
import type { DatabaseSubject } from "./databases.ts";

export const adminKey = "hv_0123456789abcdef0123456789abcdef";
export const adminHeaders: Record<string, string> = { authorization: `Bearer ${adminKey}` };
export const limitedHeaders: Record<string, string> = { authorization: "Test nobody-special" };

export function testConfig(user: UserConfig, env: Environment = {}): Config {
  return resolveConfig(user, {
    mode: "test",
    root: "/nowhere",
    env: { HAPPYVIEW_ADMIN_KEY: adminKey, ...env },
  });
}

/** A caller that is recognised on /admin and has no permission. */
export const limitedCaller = definePlugin({
  name: "limited-caller",
  setup(app) {
    app.callers.admin.push((request) =>
      request.headers.get("authorization") === limitedHeaders["authorization"]
        ? { did: "did:plc:limited", clientKey: null, permissions: new Set<string>() }
        : undefined,
    );
  },
});

export interface TestApp extends AsyncDisposable {
  app: App;
  request(path: string, init?: RequestInit): Promise<Response>;
  stop(): Promise<void>;
}

/** An app on a database of its own, asked without a socket. */
export async function startApp(
  subject: DatabaseSubject,
  user: UserConfig = {},
  options: Partial<Omit<AppOptions, "config">> & { env?: Environment } = {},
): Promise<TestApp> {
  const { url, drop } = await subject.open();
  const { env, ...rest } = options;
  const config = testConfig({ ...user, database: { url, maxConnections: 8 } }, env);
  const app = await createApp({ config, log: silent, ...rest });
  const stop = async (): Promise<void> => {
    await app.close();
    await drop();
  };
  return {
    app,
    stop,
    [Symbol.asyncDispose]: stop,
    request(path, init = {}) {
      const headers = new Headers(init.headers);
      if (!headers.has("host")) headers.set("host", "localhost");
      return app.fetch(new Request(`http://localhost${path}`, { ...init, headers }));
    },
  };
}
