import { definePlugin, HttpError } from "../../core/index.ts";
import { apiClients } from "../api-clients/index.ts";
import { dpopSessions } from "../dpop-sessions/index.ts";
import { delegationMethods } from "./methods.ts";
import { migrations } from "./migrations.ts";
import { createDelegations } from "./store.ts";

export interface DelegationOptions {
  /**
   * An account is linked only after it has said so itself, with its own session: `dev.happyview.delegation.allowLink
   * { userDid }`, ten minutes before at most. HappyView asks for nothing but a session of the account, so that every
   * user of an app can link every other one. @default false
   */
  consent?: boolean;
}

/**
 * Users who write for an account that is not theirs, as a team does: linked by an app, with owners, admins and members
 * (auth §5.4). A write names the account as `delegateDid`.
 * @example plugins: [apiClients(), dpopSessions(), delegation({ consent: true })]
 */
export const delegation = definePlugin({
  name: "delegation",
  needs: { clients: apiClients, sessions: dpopSessions },
  migrations,
  setup(app, { consent = false }: DelegationOptions, { clients, sessions }) {
    const delegations = createDelegations(app);
    delegationMethods({ app, clients, sessions, delegations, needsConsent: consent });
    if (!consent)
      app.log.warn("every user of an app can write for every other one, after linking the account", {
        hint: "unless your apps are for people who trust each other: delegation({ consent: true })",
      });
    sessions.delegateBy(async ({ did, clientKey }, delegateDid) => {
      const client = clientKey === null ? undefined : await clients.find(clientKey);
      const account = await delegations.account(delegateDid);
      if (account && account.clientId !== client?.id)
        throw new HttpError(403, "delegation is scoped to a different application");
      const role = account && did !== null ? await delegations.role(delegateDid, did) : undefined;
      if (!role) throw new HttpError(403, "you are not a delegate of this account");
      if (role === "member") throw new HttpError(403, "your role does not have write access to this account");
    });
  },
});
