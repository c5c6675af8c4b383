import { definePlugin } from "../../core/index.ts";
import { publicUrl } from "../../core/config/resolve.ts";
import { keysAdmin } from "./admin-keys.ts";
import { usersAdmin } from "./admin-users.ts";
import { createIdentify, type Identify } from "./identify.ts";
import { createApiKeys } from "./keys.ts";
import { migrations } from "./migrations.ts";
import { allPermissions } from "./permissions.ts";
import { createRenewals, createStrangers } from "./renewals.ts";
import { verifyServiceAuth } from "./service-auth.ts";
import { createUserStore } from "./store.ts";

export interface UsersOptions {
  /** DIDs that may do everything; they are users from the first start on, so that nobody else becomes the first one. */
  admins?: readonly string[];
}

/** What plugins that recognise accounts (sessions, cookies) get. */
export interface UsersApi extends Pick<Identify, "account"> {
  isUser(did: string): Promise<boolean>;
  /** True while nobody is a user: the first one who signs in becomes super user. */
  isEmpty(): Promise<boolean>;
}

/** The method that a service-auth token for the admin API may name. */
const adminMethod = "dev.happyview.admin";

/**
 * Who may use the admin API: users with permissions, `hv_…` keys, and service-auth tokens of users (admin-api §1).
 * @example plugins: [users({ admins: ["did:plc:…"] })]
 */
export const users = definePlugin({
  name: "users",
  migrations,
  async setup(app, { admins = [] }: UsersOptions): Promise<UsersApi> {
    const store = createUserStore(app);
    const keys = createApiKeys(app);
    const identify = createIdentify(store, keys, app);
    const renew = createRenewals(app);
    const mayLookUp = createStrangers(app);
    const isUser = async (did: string): Promise<boolean> => (await store.byDid(did)) !== undefined;
    for (const did of admins) await makeAdmin(did);

    async function makeAdmin(did: string): Promise<void> {
      const isFirst = await store.isEmpty();
      const added = await store.add({ did, isSuper: isFirst, permissions: allPermissions, by: null });
      const known = added ?? (await store.byDid(did));
      if (known) await store.change(known.id, { grant: allPermissions, revoke: [], by: null });
    }

    app.callers.admin.push(async ({ headers }) => {
      const [scheme, token = ""] = (headers.get("authorization") ?? "").split(" ", 2);
      if ((scheme === "Bearer" || scheme === "DPoP") && token.startsWith("hv_")) return identify.key(token);
      return undefined;
    });
    app.callers.admin.push(async ({ headers }) => {
      const [scheme, token = ""] = (headers.get("authorization") ?? "").split(" ", 2);
      if (scheme !== "Bearer" || token.startsWith("hv_")) return undefined;
      const { identity, clock, config } = app;
      const audience = `did:web:${encodeURIComponent(new URL(publicUrl(config)).host)}`;
      const did = await verifyServiceAuth(token, {
        identity,
        renew,
        async admit(from) {
          if (await isUser(from)) return "user";
          return mayLookUp() ? "stranger" : "refused";
        },
        audience,
        methods: [adminMethod],
        now: clock.now,
      });
      return identify.account(did);
    });
    usersAdmin(app, store);
    keysAdmin(app, keys, store);
    return {
      account: identify.account,
      isUser,
      isEmpty: store.isEmpty,
    };
  },
});
