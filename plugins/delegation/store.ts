import type { PluginApp } from "../../core/index.ts";

export type Role = "owner" | "admin" | "member";

export interface LinkedAccount {
  did: string;
  linkedBy: string;
  clientId: string;
  createdAt: string;
}

export interface Delegate {
  userDid: string;
  role: Role;
  grantedBy: string;
  createdAt: string;
}

/** Accounts for which others may write, each bound to the app that linked it. */
export interface Delegations {
  account(did: string): Promise<LinkedAccount | undefined>;
  /** False when it is linked already. */
  link(did: string, by: string, clientId: string): Promise<boolean>;
  unlink(did: string): Promise<void>;
  role(accountDid: string, userDid: string): Promise<Role | undefined>;
  /** The account lets the user link it with this app, until Unix milliseconds. */
  allow(did: string, userDid: string, clientId: string, until: number): Promise<void>;
  /** Whether it does, once. */
  takeConsent(did: string, userDid: string, clientId: string): Promise<boolean>;
  /** False when the user is a delegate already. */
  add(accountDid: string, userDid: string, role: Role, by: string): Promise<boolean>;
  remove(accountDid: string, userDid: string): Promise<void>;
  /** Newest first. */
  accountsOf(userDid: string, clientId: string): Promise<{ did: string; role: Role; createdAt: string }[]>;
  /** Oldest first. */
  delegatesOf(accountDid: string): Promise<Delegate[]>;
}

export function createDelegations({ db, clock }: Pick<PluginApp, "db" | "clock">): Delegations {
  const insertDelegate = `INSERT INTO happyview_account_delegates (account_did, user_did, role, granted_by, created_at)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`;
  return {
    account: (did) =>
      db.get<LinkedAccount>(
        `SELECT account_did AS "did", linked_by AS "linkedBy", api_client_id AS "clientId", created_at AS "createdAt"
         FROM happyview_delegated_accounts WHERE account_did = ?`,
        [did],
      ),
    link: (did, by, clientId) =>
      db.transaction(async (tx) => {
        const added = await tx.run(
          `INSERT INTO happyview_delegated_accounts (account_did, linked_by, api_client_id, created_at)
           VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
          [did, by, clientId, clock.timestamp()],
        );
        if (added > 0) await tx.run(insertDelegate, [did, by, "owner", by, clock.timestamp()]);
        return added > 0;
      }),
    async unlink(did) {
      await db.run("DELETE FROM happyview_delegated_accounts WHERE account_did = ?", [did]);
    },
    async role(accountDid, userDid) {
      const row = await db.get<{ role: Role }>(
        "SELECT role FROM happyview_account_delegates WHERE account_did = ? AND user_did = ?",
        [accountDid, userDid],
      );
      return row?.role;
    },
    async allow(did, userDid, clientId, until) {
      await db.run(
        `INSERT INTO happyview_delegation_consents (account_did, user_did, api_client_id, expires_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (account_did) DO UPDATE SET user_did = excluded.user_did, api_client_id = excluded.api_client_id,
           expires_at = excluded.expires_at`,
        [did, userDid, clientId, until],
      );
    },
    takeConsent: async (did, userDid, clientId) =>
      (await db.run(
        `DELETE FROM happyview_delegation_consents
         WHERE account_did = ? AND user_did = ? AND api_client_id = ? AND expires_at > ?`,
        [did, userDid, clientId, clock.now()],
      )) > 0,
    add: async (accountDid, userDid, role, by) =>
      (await db.run(insertDelegate, [accountDid, userDid, role, by, clock.timestamp()])) > 0,
    async remove(accountDid, userDid) {
      await db.run("DELETE FROM happyview_account_delegates WHERE account_did = ? AND user_did = ?", [
        accountDid,
        userDid,
      ]);
    },
    accountsOf: (userDid, clientId) =>
      db.all(
        `SELECT d.account_did AS "did", d.role, a.created_at AS "createdAt"
         FROM happyview_account_delegates d JOIN happyview_delegated_accounts a USING (account_did)
         WHERE d.user_did = ? AND a.api_client_id = ? ORDER BY a.created_at DESC`,
        [userDid, clientId],
      ),
    delegatesOf: (accountDid) =>
      db.all(
        `SELECT user_did AS "userDid", role, granted_by AS "grantedBy", created_at AS "createdAt"
         FROM happyview_account_delegates WHERE account_did = ? ORDER BY created_at`,
        [accountDid],
      ),
  };
}
