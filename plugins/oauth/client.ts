import {
  JoseKey,
  NodeOAuthClient,
  requestLocalLock,
  type OAuthClientMetadataInput,
} from "@atproto/oauth-client-node";
import { isLocal } from "../../core/config/resolve.ts";
import { baseOf, logoUrl } from "../../core/http/public.ts";
import type { PluginApp } from "../../core/index.ts";
import { resolveHandle } from "../../core/identity/handle.ts";
import type { SecretBox } from "../../core/secret-box.ts";
import { sessionStore, stateStore } from "./stores.ts";

export interface Clients {
  /** The OAuth client of a domain. */
  of(domain: string): Promise<NodeOAuthClient>;
  /** `/oauth-client-metadata.json` of a domain. */
  metadata(domain: string): Promise<Record<string, unknown>>;
  /** What an unfinished sign-in was begun with; undefined for one that is unknown. */
  begun(state: string): Promise<string | undefined>;
}

export interface ClientParts {
  app: Pick<PluginApp, "config" | "db" | "clock" | "fetch" | "identity" | "settings" | "logo">;
  box: SecretBox;
  /** Unfinished sign-ins are kept for so long. */
  stateLifetimeMs: number;
  scope: string;
}

/**
 * A client for each domain: in production a confidential one, whose key is made once and kept encrypted; on a
 * developer's machine the loopback client that AT Protocol knows for it.
 */
export function createClients(parts: ClientParts): Clients {
  const { app, box, scope } = parts;
  const { config } = app;
  const clients = new Map<string, Promise<NodeOAuthClient>>();
  const states = stateStore(app, box, parts.stateLifetimeMs);
  const isConfidential = !isLocal(config) && box.isSealing;
  let key: Promise<JoseKey> | undefined;
  const keyOnce = (): Promise<JoseKey> =>
    (key ??= loadKey(app, box).catch((error: unknown) => {
      key = undefined; // the database may answer again next time
      throw error;
    }));

  async function make(domain: string): Promise<NodeOAuthClient> {
    const metadata = isLoopback(domain) ? loopbackMetadata(domain) : await published(domain);
    return new NodeOAuthClient({
      clientMetadata: metadata,
      ...(isConfidential ? { keyset: [await keyOnce()] } : {}),
      stateStore: states,
      sessionStore: sessionStore(app, box),
      requestLock: requestLocalLock,
      allowHttp: isLocal(config),
      plcDirectoryUrl: config.network.plcUrl,
      handleResolver: { resolve: (handle) => resolveHandle(handle, app).then(toAtprotoDid, () => null) },
      fetch: (input, init) => app.fetch(toUrl(input), { redirect: "error", ...toInit(input), ...init }),
    });
  }

  function loopbackMetadata(domain: string): OAuthClientMetadataInput {
    const redirectUri = `${baseOf(domain, config)}/auth/callback`;
    const query = new URLSearchParams({ redirect_uri: redirectUri, scope });
    return {
      client_id: `http://localhost?${query}`,
      redirect_uris: [redirectUri as `http://127.0.0.1${string}`],
      scope,
      token_endpoint_auth_method: "none",
      dpop_bound_access_tokens: true,
    };
  }

  async function published(domain: string): Promise<OAuthClientMetadataInput> {
    const base = baseOf(domain, config);
    const setting = (name: string): Record<string, string> => {
      const value = name === "logo_uri" ? logoUrl(base, app.settings, app.logo) : app.settings.get(name);
      return value === undefined ? {} : { [name]: value };
    };
    const { client_uri = base } = setting("client_uri");
    const appName = app.settings.get("app_name");
    return {
      client_id: `${base}/oauth-client-metadata.json`,
      ...(appName === undefined ? {} : { client_name: appName }),
      client_uri,
      ...setting("logo_uri"),
      ...setting("tos_uri"),
      ...setting("policy_uri"),
      redirect_uris: [`${base}/auth/callback`],
      scope,
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      application_type: "web",
      dpop_bound_access_tokens: true,
      ...(isConfidential
        ? {
            token_endpoint_auth_method: "private_key_jwt",
            token_endpoint_auth_signing_alg: "ES256",
            jwks: { keys: [(await keyOnce()).publicJwk] },
          }
        : { token_endpoint_auth_method: "none" }),
    } as OAuthClientMetadataInput; // its URLs are template types, which a config's text cannot prove
  }

  return {
    of(domain) {
      let client = clients.get(domain);
      if (!client) {
        client = make(domain);
        client.catch(() => clients.delete(domain));
        clients.set(domain, client);
      }
      return client;
    },
    metadata: async (domain) => ({ ...(await published(domain)) }),
    begun: async (state) => (await states.get(state))?.appState,
  };
}

async function loadKey({ db }: Pick<PluginApp, "db">, box: SecretBox): Promise<JoseKey> {
  const stored = async (): Promise<string | undefined> =>
    (await db.get<{ jwk: string }>("SELECT jwk FROM happyview_oauth_keys WHERE id = 1"))?.jwk;
  let sealed = await stored();
  if (sealed === undefined) {
    const made = await JoseKey.generate(["ES256"], `hv-${Date.now()}`);
    // Another process may have been first: the one that is stored counts.
    await db.run("INSERT INTO happyview_oauth_keys (id, jwk) VALUES (1, ?) ON CONFLICT DO NOTHING", [
      box.seal(JSON.stringify(made.privateJwk)),
    ]);
    sealed = await stored();
  }
  return JoseKey.fromJWK(JSON.parse(box.open(sealed ?? "")) as Record<string, unknown>);
}

/** The names for which a loopback client may be used: an IP, not `localhost` (auth §6). */
function isLoopback(domain: string): boolean {
  return /^(127\.0\.0\.1|\[::1\])$/.test(new URL(domain).hostname);
}

function toAtprotoDid(did: string): `did:plc:${string}` {
  return did as `did:plc:${string}`; // resolveHandle has checked it
}

function toUrl(input: string | URL | Request): string {
  return input instanceof Request ? input.url : String(input);
}

function toInit(input: string | URL | Request): RequestInit {
  if (!(input instanceof Request)) return {};
  const { method, headers, body, signal } = input;
  return { method, headers, body, signal, ...(body ? { duplex: "half" } : {}) } as RequestInit;
}
