import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import type { ApiClientsApi } from "../api-clients/index.ts";
import type { DpopFetch } from "./dpop-fetch.ts";
import type { DpopKeys } from "./keys.ts";
import { serverMetadata } from "./refresh.ts";
import type { Session } from "./sessions.ts";

/** Tells the authorization servers that sessions are over (RFC 7009); what cannot be told does not keep them alive here. */
export type Revoke = (sessions: readonly Session[]) => Promise<void>;

const maxWaitMs = 3000;

export function createRevoke(parts: {
  app: Pick<PluginApp, "log">;
  clients: Pick<ApiClientsApi, "get">;
  keys: DpopKeys;
  fetch: OutgoingFetch;
  send: DpopFetch;
}): Revoke {
  const { app, clients, keys, fetch, send } = parts;

  async function revoke(session: Session): Promise<void> {
    const [key, client] = await Promise.all([keys.get(session.keyId), clients.get(session.clientId)]);
    if (!key || !client || session.issuer === null) return;
    const endpoint = (await serverMetadata(session.issuer, fetch))["revocation_endpoint"];
    if (typeof endpoint !== "string") return;
    await send({
      method: "POST",
      url: endpoint,
      jwk: keys.open(key),
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({
        token: session.refreshToken() ?? session.accessToken(),
        client_id: client.clientIdUrl,
      }).toString(),
    });
  }

  return async (sessions) => {
    const work = sessions.map((session) =>
      revoke(session).catch((error) =>
        app.log.warn("a session could not be revoked at its authorization server", { error: explain(error) }),
      ),
    );
    const limit = new Promise<void>((resolve) => setTimeout(resolve, maxWaitMs).unref());
    await Promise.race([Promise.all(work), limit]);
  };
}
