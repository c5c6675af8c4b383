import { definePlugin, HttpError } from "../../core/index.ts";
import { explain } from "../../core/errors.ts";
import { resealAtStart } from "../../core/reseal.ts";
import { createSecretBox } from "../../core/secret-box.ts";
import { users } from "../users/index.ts";
import { createBrowsers } from "./browsers.ts";
import { createClients } from "./client.ts";
import { createLogins, isIntended } from "./logins.ts";
import { migrations } from "./migrations.ts";
import { oauthRoutes } from "./routes.ts";

export interface OAuthOptions {
  /** What the dashboard asks for at the user's PDS. @default "atproto" */
  scope?: string;
  /** How long a sign-in may take. @default 600_000 */
  stateLifetimeMs?: number;
}

const minSecretLength = 32;
const sweepEveryMs = 10 * 60 * 1000;

/**
 * Signing in to the admin API with an AT Protocol account, by cookie (auth §6). Who may do what there is the users
 * plugin's matter.
 * @example plugins: [users(), oauth()] // with SESSION_SECRET and TOKEN_ENCRYPTION_KEY in the environment
 */
export const oauth = definePlugin({
  name: "oauth",
  needs: { users },
  migrations,
  setup(app, options: OAuthOptions, { users: admins }) {
    const { scope = "atproto", stateLifetimeMs = 600_000 } = options;
    const { env, server } = app.config;
    const box = createSecretBox(env["TOKEN_ENCRYPTION_KEY"], env["TOKEN_ENCRYPTION_KEY_PREVIOUS"]);
    resealAtStart(app, box, [
      { table: "happyview_oauth_sessions", key: "did", column: "session_data" },
      { table: "happyview_oauth_keys", key: "id", isNumbered: true, column: "jwk" },
    ]);
    const clients = createClients({ app, box, stateLifetimeMs, scope });
    const secret = env["SESSION_SECRET"] ?? "";
    if (secret.length < minSecretLength)
      app.log.warn("signing in to the admin API is off", {
        hint: "set SESSION_SECRET to at least 32 random characters: openssl rand -hex 32",
      });
    const cookies = { isSecure: app.domains.primary().startsWith("https:"), path: server.basePath };
    const browsers = createBrowsers({ ...cookies, lifetimeMs: stateLifetimeMs });
    const logins = secret.length < minSecretLength ? undefined : createLogins({ ...app, ...cookies, secret });
    oauthRoutes({ app, clients, browsers, logins, users: admins, scope });
    if (!logins) return;
    if (!box.isSealing)
      app.log.warn("the PDS tokens of people who sign in are stored as they are", {
        hint: "set TOKEN_ENCRYPTION_KEY to encrypt them: openssl rand -base64 32",
      });

    app.callers.admin.push(async (request) => {
      const login = await logins.find(request);
      if (!login) return undefined;
      if (!isIntended(request, login))
        throw new HttpError(403, "this request needs the x-csrf-token of GET /auth/me");
      return admins.account(login.did);
    });
    const timer = setInterval(() => {
      logins
        .sweep()
        .catch((error) => app.log.warn("old sign-ins could not be deleted", { error: explain(error) }));
    }, sweepEveryMs).unref();
    app.onClose(() => clearInterval(timer));
  },
});
