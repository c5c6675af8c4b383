import { z } from "zod";
import { HttpError, json, type PluginApp } from "../../core/index.ts";
import { adminView, isOwnClientId, type ApiClient } from "./client.ts";
import type { ApiClients } from "./store.ts";

const positive = z.number().positive();
const changeable = {
  scopes: z.string().nullish(),
  allowed_origins: z.array(z.string()).nullish(),
  rate_limit_capacity: z.int().positive().nullish(),
  rate_limit_refill_rate: positive.nullish(),
};
const created = z.object({
  ...changeable,
  name: z.string(),
  client_id_url: z.string(),
  client_uri: z.string(),
  redirect_uris: z.array(z.string()),
  client_type: z.string().nullish(),
});
const changed = z.object({
  ...changeable,
  name: z.string().nullish(),
  client_uri: z.string().nullish(),
  redirect_uris: z.array(z.string()).nullish(),
  is_active: z.boolean().nullish(),
});

/** `/admin/api-clients` (admin-api §2.7). */
export function apiClientsAdmin(
  app: Pick<PluginApp, "admin" | "events" | "domains" | "config">,
  clients: ApiClients,
): void {
  const { admin, events } = app;
  const existing = async (id = ""): Promise<ApiClient> => {
    const client = await clients.get(id);
    if (!client) throw new HttpError(404, `api client '${id}' not found`);
    return client;
  };

  admin.route("GET /api-clients", { permission: "api-clients:view" }, async ({ query }) => {
    const parentId = query.get("parent_id");
    return (await clients.list(parentId === null ? undefined : { parentId })).map(adminView);
  });
  admin.route("GET /api-clients/:id", { permission: "api-clients:view" }, async ({ params }) =>
    adminView(await existing(params["id"])),
  );
  admin.route(
    "POST /api-clients",
    { permission: "api-clients:create", body: created },
    async ({ body, caller }) => {
      const type = body.client_type ?? "confidential";
      if (type !== "confidential" && type !== "public")
        throw new HttpError(400, "client_type must be 'confidential' or 'public'");
      if (isOwnClientId(body.client_id_url, app))
        throw new HttpError(409, `client_id_url '${body.client_id_url}' is a domain's of this instance`);
      const made = await clients.create({
        name: body.name,
        clientIdUrl: body.client_id_url,
        clientUri: body.client_uri,
        redirectUris: body.redirect_uris,
        scopes: body.scopes ?? undefined,
        type,
        allowedOrigins: body.allowed_origins,
        rateLimitCapacity: body.rate_limit_capacity,
        rateLimitRefillRate: body.rate_limit_refill_rate,
        createdBy: caller.did,
      });
      if (!made) throw new HttpError(409, `client_id_url '${body.client_id_url}' is registered already`);
      const { client, secret } = made;
      events.emit({
        type: "api_client.created",
        actor: caller.did,
        subject: client.name,
        detail: { client_key: client.clientKey, client_id_url: client.clientIdUrl },
      });
      return json(
        {
          id: client.id,
          client_key: client.clientKey,
          ...(secret === undefined ? {} : { client_secret: secret }),
          name: client.name,
          client_id_url: client.clientIdUrl,
          client_type: client.type,
        },
        201,
      );
    },
  );
  admin.route(
    "PUT /api-clients/:id",
    { permission: "api-clients:edit", body: changed },
    async ({ params, body, caller }) => {
      const { id } = await existing(params["id"]);
      // Null keeps what is stored, as in HappyView.
      await clients.change(id, {
        name: body.name ?? undefined,
        clientUri: body.client_uri ?? undefined,
        redirectUris: body.redirect_uris ?? undefined,
        scopes: body.scopes ?? undefined,
        allowedOrigins: body.allowed_origins ?? undefined,
        rateLimitCapacity: body.rate_limit_capacity ?? undefined,
        rateLimitRefillRate: body.rate_limit_refill_rate ?? undefined,
        isActive: body.is_active ?? undefined,
      });
      events.emit({ type: "api_client.updated", actor: caller.did, subject: id });
    },
  );
  admin.route("DELETE /api-clients/:id", { permission: "api-clients:delete" }, async ({ params, caller }) => {
    const { id } = await existing(params["id"]);
    await clients.remove(id);
    events.emit({ type: "api_client.deleted", actor: caller.did, subject: id });
  });
}
