import { z } from "zod";
import { HttpError, json, type PluginApp, type XrpcCall } from "../../core/index.ts";
import { parseBody } from "../../core/http/admin.ts";
import { isOwnClientId, ownerView, type ApiClient } from "./client.ts";
import type { ApiClients } from "./store.ts";

const newClient = z.object({
  name: z.string(),
  clientIdUrl: z.string(),
  clientUri: z.string(),
  redirectUris: z.array(z.string()),
  clientType: z.string().nullish(),
  scopes: z.string().nullish(),
  allowedOrigins: z.array(z.string()).nullish(),
});

/** `dev.happyview.*ApiClient`: users register clients of their own (sync-and-xrpc §1.7). */
export function selfService(
  app: Pick<PluginApp, "xrpc" | "events" | "domains" | "config">,
  clients: ApiClients,
): void {
  const { xrpc, events } = app;
  /** The user, and the client by which the request came: a child may not have children. */
  async function owner({ caller }: XrpcCall, method: string): Promise<{ did: string; parent: ApiClient }> {
    const parent = caller.clientKey === null ? undefined : await clients.find(caller.clientKey);
    if (caller.did === null || !parent) throw new HttpError(401, `${method} requires DPoP authentication`);
    return { did: caller.did, parent };
  }
  async function manager(call: XrpcCall, method: string): Promise<string> {
    const { did, parent } = await owner(call, method);
    if (parent.parentId !== null) throw new HttpError(401, "child clients cannot manage API clients");
    return did;
  }
  async function owned(id: unknown, did: string): Promise<ApiClient | undefined> {
    const client = typeof id === "string" ? await clients.get(id) : undefined;
    return client?.ownerDid === did ? client : undefined;
  }

  xrpc.method("dev.happyview.listApiClients", {
    type: "query",
    async handle(call) {
      const ownerDid = await manager(call, "listApiClients");
      return { clients: (await clients.list({ ownerDid })).map(ownerView) };
    },
  });
  xrpc.method("dev.happyview.getApiClient", {
    type: "query",
    async handle(call) {
      const client = await owned(call.params["id"], await manager(call, "getApiClient"));
      if (!client) throw new HttpError(404, "API client not found");
      return { client: ownerView(client) };
    },
  });
  xrpc.method("dev.happyview.createApiClient", {
    type: "procedure",
    async handle(call) {
      const { did, parent } = await owner(call, "createApiClient");
      if (parent.parentId !== null) throw new HttpError(403, "Child clients cannot create API clients");
      const input = parseBody(newClient, call.input);
      const type = input.clientType ?? "confidential";
      if (type !== "confidential" && type !== "public")
        throw new HttpError(400, "client_type must be 'confidential' or 'public'");
      if (isOwnClientId(input.clientIdUrl, app))
        throw new HttpError(409, "client_id_url is a domain's of this instance");
      const made = await clients.create({
        ...input,
        scopes: input.scopes ?? undefined,
        type,
        createdBy: did,
        ownerDid: did,
        parentId: parent.id,
      });
      if (!made) throw new HttpError(409, "client_id_url already registered");
      const { client, secret } = made;
      events.emit({
        type: "api_client.created",
        actor: did,
        subject: client.name,
        detail: {
          client_key: client.clientKey,
          client_id_url: client.clientIdUrl,
          self_service: true,
          parent_client_id: parent.id,
        },
      });
      return json(
        { client: ownerView(client), ...(secret === undefined ? {} : { clientSecret: secret }) },
        201,
      );
    },
  });
  xrpc.method("dev.happyview.deleteApiClient", {
    type: "procedure",
    async handle(call) {
      const did = await manager(call, "deleteApiClient");
      const { id } = parseBody(z.object({ id: z.string() }), call.input);
      const client = await owned(id, did);
      if (!client) throw new HttpError(404, `api client '${id}' not found`);
      await clients.remove(client.id);
      events.emit({ type: "api_client.deleted", actor: did, subject: client.id });
      return {};
    },
  });
}
