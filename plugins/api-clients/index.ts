import { definePlugin } from "../../core/index.ts";
import { apiClientsAdmin } from "./admin.ts";
import { isSecretOf, type ApiClient } from "./client.ts";
import { deploy, requireValid, type DeclaredClient } from "./declared.ts";
import { migrations } from "./migrations.ts";
import { selfService } from "./self-service.ts";
import { createApiClients, type ApiClients } from "./store.ts";

export interface ApiClientsOptions {
  /** Clients that are always there; one that is taken out is removed, with its sessions. */
  clients?: readonly DeclaredClient[];
}

export type { ApiClient, DeclaredClient };

/** What plugins get that deal with apps. */
export interface ApiClientsApi extends Pick<ApiClients, "find" | "get" | "byClientId" | "beforeRemove"> {
  /** True when the secret is the client's. */
  isSecretOf(secret: string, client: ApiClient): boolean;
}

/**
 * The apps that act for users here: confidential ones with a secret, public ones without (auth §1).
 * @example plugins: [apiClients({ clients: [{ name: "App", clientKey: "hvc_…", clientIdUrl: "https://…", … }] })]
 */
export const apiClients = definePlugin({
  name: "api-clients",
  migrations,
  setup(app, options: ApiClientsOptions): ApiClientsApi {
    const clients = createApiClients(app);
    const declared = options.clients ?? [];
    requireValid(declared, app.config.env);
    // When all are set up who have to hear of a removal; one-off commands change nothing.
    app.hook("app:ready", () => deploy(declared, clients, app));
    apiClientsAdmin(app, clients);
    selfService(app, clients);
    const { find, get, byClientId, beforeRemove } = clients;
    return { find, get, byClientId, beforeRemove, isSecretOf };
  },
});
