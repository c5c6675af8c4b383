import { explain } from "../../core/errors.ts";
import { HttpError, type Caller, type PluginApp } from "../../core/index.ts";
import type { ApiKeys } from "./keys.ts";
import { allPermissions, isPermission } from "./permissions.ts";
import type { User, UserStore } from "./store.ts";

export interface Identify {
  /**
   * What an account may do: 403 for one that is no user. The first one ever becomes super user (admin-api §1.4), unless
   * it comes through an app: whoever signs in to any app would own a new instance.
   */
  account(did: string, clientKey?: string | null): Promise<Caller>;
  /** The caller of an `hv_…` key; undefined for a key that is unknown, revoked or expired. */
  key(token: string): Promise<Caller | undefined>;
}

export function createIdentify(
  users: UserStore,
  keys: ApiKeys,
  { events, log }: Pick<PluginApp, "events" | "log">,
): Identify {
  const inBackground = (work: Promise<void>): void =>
    void work.catch((error) => log.warn("the last use could not be noted", { error: explain(error) }));

  async function bootstrap(did: string): Promise<User | undefined> {
    if (!(await users.isEmpty())) return undefined;
    const user = await users.add({ did, isSuper: true, permissions: allPermissions, by: null });
    if (user) events.emit({ type: "user.bootstrapped", subject: did });
    return user ?? users.byDid(did);
  }

  return {
    async account(did, clientKey = null) {
      const user = (await users.byDid(did)) ?? (clientKey === null ? await bootstrap(did) : undefined);
      if (!user) throw new HttpError(403, "not a user");
      inBackground(users.used(user.id));
      return { did, clientKey, permissions: permissionsOf(user) };
    },
    async key(token) {
      const key = await keys.find(token);
      if (!key) return undefined;
      const owner = key.userId === null ? undefined : await users.get(key.userId);
      if (key.userId !== null && !owner) return undefined;
      inBackground(keys.used(key.id));
      const own = new Set(key.permissions.filter(isPermission));
      if (!owner) return { did: null, clientKey: null, permissions: own };
      if (owner.isSuper) return { did: owner.did, clientKey: null, permissions: "all" };
      // What the owner has lost since, the key has lost too.
      const held = new Set(owner.permissions);
      return {
        did: owner.did,
        clientKey: null,
        permissions: new Set([...own].filter((each) => held.has(each))),
      };
    },
  };
}

function permissionsOf({ isSuper, permissions }: User): Caller["permissions"] {
  return isSuper ? "all" : new Set(permissions.filter(isPermission));
}
