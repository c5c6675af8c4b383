import { HttpError } from "../../core/index.ts";
import type { HttpRequest } from "../../core/http/request.ts";
import type { ApiClient, ApiClientsApi } from "../api-clients/index.ts";

export interface ClientAuth {
  /** The key that the request names. @throws HttpError 401 */
  keyOf(request: HttpRequest): string;
  /** True when it carries a secret, so that it wants to be treated as a confidential client's. */
  hasSecret(request: HttpRequest): boolean;
  /** A client that proves itself by its secret (auth §1.2). @throws HttpError 401 */
  confidential(request: HttpRequest): Promise<ApiClient>;
  /** A client without a secret, from an origin it may come from. @throws HttpError 401 */
  public(request: HttpRequest): Promise<ApiClient>;
  /** Any active client. @throws HttpError 401 */
  any(request: HttpRequest): Promise<ApiClient>;
}

export function createClientAuth(clients: Pick<ApiClientsApi, "find" | "isSecretOf">): ClientAuth {
  const keyOf = ({ headers }: HttpRequest): string => {
    const key = headers.get("x-client-key");
    if (key === null) throw refused("X-Client-Key header required");
    return key;
  };
  return {
    keyOf,
    hasSecret: ({ headers }) => headers.get("x-client-secret") !== null,
    async confidential(request) {
      const client = await clients.find(keyOf(request));
      const secret = request.headers.get("x-client-secret") ?? "";
      if (!client || (client.type === "confidential" && !clients.isSecretOf(secret, client)))
        throw refused("invalid client credentials");
      if (client.type !== "confidential")
        throw refused("this endpoint requires confidential client authentication");
      return client;
    },
    async public(request) {
      const client = await clients.find(keyOf(request));
      if (!client) throw refused("unknown client");
      if (client.type !== "public") throw refused("this client is not registered as a public client");
      if (!client.allowedOrigins || client.allowedOrigins.length === 0) return client;
      const origin = request.headers.get("origin");
      if (origin === null) throw refused("Origin header required for public clients");
      if (!client.allowedOrigins.includes(origin)) throw refused("origin not allowed for this client");
      return client;
    },
    async any(request) {
      const client = await clients.find(keyOf(request));
      if (!client) throw refused("unknown client");
      return client;
    },
  };
}

function refused(reason: string): HttpError {
  return new HttpError(401, reason);
}
