import { HappyViewError, type PluginApp } from "../../core/index.ts";
import type { ApiClient, ClientType } from "./client.ts";
import type { ApiClients } from "./store.ts";

/** A client that the config declares; its secret is named, never written down. */
export interface DeclaredClient {
  name: string;
  /** `hvc_…`, the same in every environment that should share it. */
  clientKey: string;
  /** The OAuth client_id that the app uses at PDSes. */
  clientIdUrl: string;
  clientUri: string;
  redirectUris: readonly string[];
  /** @default "public", for a secret belongs into the environment */
  type?: ClientType;
  /** The environment variable that holds `hvs_…`; needed by confidential clients. */
  secretEnv?: string;
  /** @default "atproto" */
  scopes?: string;
  allowedOrigins?: readonly string[];
  rateLimit?: { capacity: number; refillRate: number };
}

/** What is wrong about them stops the start, whatever is stored. @throws HappyViewError CONFIG_INVALID */
export function requireValid(declared: readonly DeclaredClient[], env: PluginApp["config"]["env"]): void {
  const keys = new Set<string>();
  for (const each of declared) {
    if (each.type === "confidential") secretOf(each, env);
    if (keys.has(each.clientKey)) throw keyTaken(each);
    keys.add(each.clientKey);
  }
}

/** Makes the stored clients of the config agree with it; those that an admin made are left alone. */
export async function deploy(
  declared: readonly DeclaredClient[],
  clients: ApiClients,
  { config, log }: Pick<PluginApp, "config" | "log">,
): Promise<void> {
  const wanted = new Set(declared.map(({ clientIdUrl }) => clientIdUrl));
  for (const client of await clients.list({ origin: "config" }))
    if (!wanted.has(client.clientIdUrl)) await clients.remove(client.id);
  for (const each of declared) {
    const { rateLimit, type = "public", secretEnv: _, ...fields } = each;
    const secret = type === "confidential" ? secretOf(each, config.env) : undefined;
    const values = {
      ...fields,
      type,
      secret,
      scopes: each.scopes ?? "atproto",
      allowedOrigins: each.allowedOrigins ?? null,
      rateLimitCapacity: rateLimit?.capacity ?? null,
      rateLimitRefillRate: rateLimit?.refillRate ?? null,
    };
    const find = (): ReturnType<ApiClients["byClientId"]> => clients.byClientId(each.clientIdUrl);
    let known = await find();
    if (known && isUsers(known)) {
      // Its key, its sessions and its end would stay in the user's hand.
      log.warn(
        "a user had registered a client that the config declares; that one is removed with its sessions",
        {
          client: each.name,
          owner: known.ownerDid,
        },
      );
      await clients.remove(known.id);
      known = undefined;
    }
    if (!known) {
      if (await clients.create({ ...values, createdBy: null, origin: "config" })) continue;
      known = await find(); // another process that starts with the same config was first
    }
    if (!known) throw keyTaken(each);
    if (known.clientKey !== each.clientKey)
      log.warn("a declared API client has another key in the database, which stays", { client: each.name });
    await clients.change(known.id, values);
  }
}

function keyTaken({ name }: DeclaredClient): HappyViewError {
  return new HappyViewError("CONFIG_INVALID", {
    message: `the clientKey of the API client "${name}" is another client's`,
    hint: "give each client a key of its own: hvc_$(openssl rand -hex 16)",
  });
}

function isUsers({ parentId, ownerDid }: ApiClient): boolean {
  return parentId !== null || ownerDid !== null;
}

function secretOf({ name, secretEnv }: DeclaredClient, env: PluginApp["config"]["env"]): string {
  const secret = secretEnv === undefined ? undefined : env[secretEnv];
  if (secret && /^hvs_.{32,}$/.test(secret)) return secret;
  throw new HappyViewError("CONFIG_INVALID", {
    message: `the API client "${name}" is confidential, and ${secretEnv ?? "no variable"} holds no secret of it`,
    hint: `name a variable in its \`secretEnv\` and set it to hvs_$(openssl rand -hex 32)`,
  });
}
