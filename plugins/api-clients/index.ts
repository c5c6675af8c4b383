import { definePlugin } from "../../core/index.ts";
import { apiClientsAdmin } from "./admin.ts";
import { isSecretOf, type ApiClient } from "./client.ts";
import { deploy, type DeclaredClient } from "./declared.ts";
import { migrations } from "./migrations.ts";
import { selfService } from "./self-service.ts";
import { createApiClients, type ApiClients } from "./store.ts";

export interface ApiClientsOptions {
  /** Clients that are always there; one that is taken out is removed, with its sessions. */
  clients?: readonly DeclaredClient[];
}

export type { ApiClient, DeclaredClient };

/** What plugins get that deal with apps. */
export interface ApiClientsApi extends Pick<ApiClients, "find" | "get" | "byClientId"> {
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
  async setup(app, options: ApiClientsOptions): Promise<ApiClientsApi> {
    const clients = createApiClients(app);
    await deploy(options.clients ?? [], clients, app);
    apiClientsAdmin(app, clients);
    selfService(app, clients);
    return { find: clients.find, get: clients.get, byClientId: clients.byClientId, isSecretOf };
  },
});
