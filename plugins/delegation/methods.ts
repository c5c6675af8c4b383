import { z } from "zod";
import { HttpError, json, type PluginApp, type XrpcCall } from "../../core/index.ts";
import { parseBody } from "../../core/http/admin.ts";
import type { ApiClient, ApiClientsApi } from "../api-clients/index.ts";
import type { DpopSessionsApi } from "../dpop-sessions/index.ts";
import type { Delegations, LinkedAccount, Role } from "./store.ts";

export interface MethodParts {
  app: Pick<PluginApp, "xrpc" | "events" | "clock">;
  clients: Pick<ApiClientsApi, "find">;
  sessions: Pick<DpopSessionsApi, "ofUser" | "end">;
  delegations: Delegations;
  needsConsent: boolean;
}

interface Acting {
  did: string;
  client: ApiClient;
}

const accountOnly = z.object({ did: z.string() });
const delegateOf = z.object({ accountDid: z.string(), userDid: z.string() });
const linking = z.object({ userDid: z.string() });
const newDelegate = z.object({ accountDid: z.string(), userDid: z.string(), role: z.string() });

const consentMs = 10 * 60 * 1000;

/** `dev.happyview.delegation.*` (auth §5.4). */
export function delegationMethods(parts: MethodParts): void {
  const { app, clients, sessions, delegations, needsConsent } = parts;
  const { events, clock } = app;
  const method = (
    name: string,
    type: "query" | "procedure",
    handle: (acting: Acting, call: XrpcCall) => Promise<unknown>,
  ): void =>
    app.xrpc.method(`dev.happyview.delegation.${name}`, {
      type,
      async handle(call) {
        const { did, clientKey } = call.caller;
        if (did === null) throw new HttpError(401, `${name} requires authentication`);
        const client = clientKey === null ? undefined : await clients.find(clientKey);
        if (!client)
          throw new HttpError(
            401,
            `${name === "linkAccount" ? name : "delegation"} requires DPoP authentication`,
          );
        return handle({ did, client }, call);
      },
    });

  /** The account and what the caller is to it. @throws HttpError 403, 404 */
  async function as(accountDid: string, { did, client }: Acting): Promise<LinkedAccount & { role: Role }> {
    const account = await delegations.account(accountDid);
    if (!account) throw new HttpError(404, "delegated account not found");
    if (account.clientId !== client.id)
      throw new HttpError(403, "delegation is scoped to a different application");
    const role = await delegations.role(accountDid, did);
    if (!role) throw new HttpError(403, "you are not a delegate of this account");
    return { ...account, role };
  }
  const changed = (
    type: string,
    acting: Acting,
    subject: string,
    detail: Record<string, unknown> = {},
  ): void => events.emit({ type: `delegation.${type}`, actor: acting.did, subject, detail });

  /** An account is never held against its will; its own sessions stay. */
  async function unlinkItself(acting: Acting): Promise<object> {
    const account = await delegations.account(acting.did);
    if (!account) throw new HttpError(404, "delegated account not found");
    await delegations.unlink(acting.did);
    changed("account_unlinked", acting, acting.did);
    return {};
  }

  method("linkAccount", "procedure", async (acting, call) => {
    const { did } = parseBody(accountOnly, call.input);
    if (did === acting.did) throw new HttpError(400, "cannot link your own account as a delegate");
    if (await delegations.account(did)) throw new HttpError(409, "account is already linked");
    if ((await sessions.ofUser(acting.client.id, did)).length === 0)
      throw new HttpError(400, "no DPoP session found for the target account — complete OAuth first");
    if (needsConsent && !(await delegations.takeConsent(did, acting.did, acting.client.id)))
      throw new HttpError(
        403,
        `${did} has not allowed this: it has to call dev.happyview.delegation.allowLink with your DID first`,
      );
    if (!(await delegations.link(did, acting.did, acting.client.id)))
      throw new HttpError(409, "account is already linked");
    changed("account_linked", acting, did);
    return json({ did }, 201);
  });

  method("allowLink", "procedure", async (acting, call) => {
    const { userDid } = parseBody(linking, call.input);
    await delegations.allow(acting.did, userDid, acting.client.id, clock.now() + consentMs);
    changed("link_allowed", acting, userDid);
    return {};
  });

  method("unlinkAccount", "procedure", async (acting, call) => {
    const { did } = parseBody(accountOnly, call.input);
    if (did === acting.did) return unlinkItself(acting);
    const { role } = await as(did, acting);
    if (role !== "owner") throw new HttpError(403, "only the owner can unlink an account");
    await delegations.unlink(did);
    await sessions.end(await sessions.ofUser(acting.client.id, did));
    changed("account_unlinked", acting, did);
    return {};
  });

  method("addDelegate", "procedure", async (acting, call) => {
    const { accountDid, userDid, role } = parseBody(newDelegate, call.input);
    const own = await as(accountDid, acting);
    if (own.role === "member") throw new HttpError(403, "only owners and admins can add delegates");
    if (role === "owner")
      throw new HttpError(400, "cannot add a second owner — use unlinkAccount and re-link instead");
    if (role !== "admin" && role !== "member") throw new HttpError(400, "role must be 'admin' or 'member'");
    if (!(await delegations.add(accountDid, userDid, role, acting.did)))
      throw new HttpError(409, "user is already a delegate — remove them first to change role");
    changed("delegate_added", acting, userDid, { account_did: accountDid, role });
    return json({}, 201);
  });

  method("removeDelegate", "procedure", async (acting, call) => {
    const { accountDid, userDid } = parseBody(delegateOf, call.input);
    const own = await as(accountDid, acting);
    if (own.role === "member") throw new HttpError(403, "only owners and admins can remove delegates");
    const role = await delegations.role(accountDid, userDid);
    if (!role) throw new HttpError(404, "user is not a delegate of this account");
    if (role === "owner") throw new HttpError(403, "cannot remove the owner — use unlinkAccount instead");
    if (role === "admin" && own.role !== "owner")
      throw new HttpError(403, "admins cannot remove other admins — only the owner can");
    await delegations.remove(accountDid, userDid);
    changed("delegate_removed", acting, userDid, { account_did: accountDid });
    return {};
  });

  method("listAccounts", "query", async ({ did, client }) => ({
    accounts: await delegations.accountsOf(did, client.id),
  }));

  method("getAccount", "query", async (acting, { params }) => {
    const did = String(params["did"] ?? "");
    const account = await as(did, acting).catch((error: unknown) => {
      // Who is no delegate learns no more than that.
      if (error instanceof HttpError && error.message === "you are not a delegate of this account")
        throw new HttpError(404, error.message);
      throw error;
    });
    return { did, role: account.role, linkedBy: account.linkedBy, createdAt: account.createdAt };
  });

  method("listDelegates", "query", async (acting, { params }) => {
    const accountDid = String(params["accountDid"] ?? "");
    const { role } = await as(accountDid, acting);
    if (role === "member") throw new HttpError(403, "only owners and admins can list delegates");
    return { delegates: await delegations.delegatesOf(accountDid) };
  });
}
