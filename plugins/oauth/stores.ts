import type {
  NodeSavedSession,
  NodeSavedSessionStore,
  NodeSavedState,
  NodeSavedStateStore,
} from "@atproto/oauth-client-node";
import type { PluginApp } from "../../core/index.ts";
import type { SecretBox } from "../../core/secret-box.ts";

type StoreParts = Pick<PluginApp, "db" | "clock">;

/** Sign-ins that were begun; one that nobody finishes is forgotten. */
export function stateStore(
  { db, clock }: StoreParts,
  box: SecretBox,
  lifetimeMs: number,
): NodeSavedStateStore {
  return {
    async get(key) {
      const row = await db.get<{ state_data: string }>(
        "SELECT state_data FROM happyview_oauth_states WHERE state_key = ? AND expires_at > ?",
        [key, clock.now()],
      );
      return row && (JSON.parse(box.open(row.state_data)) as NodeSavedState); // sealed by set() alone
    },
    async set(key, state) {
      await db.run(
        "INSERT INTO happyview_oauth_states (state_key, state_data, expires_at) VALUES (?, ?, ?) ON CONFLICT (state_key) DO UPDATE SET state_data = excluded.state_data",
        [key, box.seal(JSON.stringify(state)), clock.now() + lifetimeMs],
      );
    },
    async del(key) {
      await db.run("DELETE FROM happyview_oauth_states WHERE state_key = ?", [key]);
    },
  };
}

export function sessionStore({ db, clock }: StoreParts, box: SecretBox): NodeSavedSessionStore {
  return {
    async get(did) {
      const row = await db.get<{ session_data: string }>(
        "SELECT session_data FROM happyview_oauth_sessions WHERE did = ?",
        [did],
      );
      return row && (JSON.parse(box.open(row.session_data)) as NodeSavedSession); // sealed by set() alone
    },
    async set(did, session) {
      await db.run(
        "INSERT INTO happyview_oauth_sessions (did, session_data, updated_at) VALUES (?, ?, ?) ON CONFLICT (did) DO UPDATE SET session_data = excluded.session_data, updated_at = excluded.updated_at",
        [did, box.seal(JSON.stringify(session)), clock.timestamp()],
      );
    },
    async del(did) {
      await db.run("DELETE FROM happyview_oauth_sessions WHERE did = ?", [did]);
    },
  };
}
