import { createHash } from "node:crypto";
import type { Database } from "../../core/db/database.ts";
import { HttpError } from "../../core/index.ts";
import { maxAgeSeconds, type ParsedProof } from "./proof.ts";

/** Lets each proof pass once, for as long as it could be repeated (auth §2, 17). */
export interface Replays {
  /** @throws HttpError 401 */
  accept(proof: ParsedProof): Promise<void>;
  close(): void;
}

const sweepEveryMs = 30_000;

/** More proofs than this in five minutes would be 660 a second from one process. */
const maxRemembered = 200_000;

/**
 * On Postgres the database remembers, as other processes may get the repetition; with SQLite there is one process, whose
 * memory is enough.
 */
export function createReplays(db: Database, now: () => number): Replays {
  return db.dialect === "postgres" ? inDatabase(db, now) : inMemory(now);
}

function inMemory(now: () => number): Replays {
  const seen = new Map<string, number>();
  const sweep = (): void => {
    for (const [id, expiresAt] of seen) if (expiresAt < now()) seen.delete(id);
  };
  const timer = setInterval(sweep, sweepEveryMs).unref();
  return {
    async accept(proof) {
      const id = idOf(proof);
      if (seen.has(id)) throw replayed();
      if (seen.size >= maxRemembered) sweep();
      if (seen.size >= maxRemembered) throw new HttpError(429, "too many DPoP proofs; try again later");
      seen.set(id, expiryOf(proof));
    },
    close: () => clearInterval(timer),
  };
}

function inDatabase(db: Database, now: () => number): Replays {
  const timer = setInterval(() => {
    db.run("DELETE FROM happyview_dpop_proofs WHERE expires_at < ?", [now()]).catch(() => {}); // the next one does
  }, sweepEveryMs).unref();
  return {
    async accept(proof) {
      const added = await db.run(
        "INSERT INTO happyview_dpop_proofs (id, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [idOf(proof), expiryOf(proof)],
      );
      if (added === 0) throw replayed();
    },
    close: () => clearInterval(timer),
  };
}

function idOf({ thumbprint, claims }: ParsedProof): string {
  return createHash("sha256").update(`${thumbprint} ${claims.jti}`).digest("base64url");
}

function expiryOf({ claims }: ParsedProof): number {
  return (claims.iat + maxAgeSeconds + 1) * 1000;
}

function replayed(): HttpError {
  return new HttpError(401, "DPoP proof replay detected");
}
