import { createHash } from "node:crypto";
import postgres from "postgres";
import { explain } from "./errors.ts";

/** A connection of its own whose locks end with it, however it ends: that is what tells other processes of a death. */
export interface LeaderSession {
  /** Aborts when the connection is gone or no longer answers: whatever it held may be another's by now. */
  readonly lost: AbortSignal;
  /** The epoch of the lead, or undefined when another process has it. */
  take(name: string): Promise<number | undefined>;
  release(name: string): Promise<void>;
  close(): Promise<void>;
}

export interface SessionOptions {
  /** Between two questions whether the connection still answers. */
  beatMs: number;
}

/** The first part of the key, so that these locks meet no others of the database. */
const lockClass = 1281;

/** A connection that has left so many beats unanswered is given up. */
const maxUnanswered = 3;

/** Each lead has a number greater than those before it: what an earlier leader still writes can be told from it. */
export const nextEpoch = `INSERT INTO happyview_leads (name, epoch) VALUES (?, 1)
  ON CONFLICT (name) DO UPDATE SET epoch = happyview_leads.epoch + 1 RETURNING epoch`;

/** The server should notice within seconds that our machine is gone, not after the two hours of TCP's default. */
const keepalives =
  "SET tcp_keepalives_idle = 3; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 2; SET tcp_user_timeout = 7000";

export async function openLeaderSession(url: string, { beatMs }: SessionOptions): Promise<LeaderSession> {
  const lost = new AbortController();
  const sql = postgres(url, {
    max: 1,
    max_lifetime: null, // a new connection would have none of the locks
    idle_timeout: 0,
    connect_timeout: 10,
    keep_alive: 5,
    fetch_types: false,
    onnotice: () => {},
    onclose: () => end("the connection was closed"),
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
    connection: { application_name: "happyview leader" },
  });

  function end(reason: string): void {
    clearInterval(beat);
    if (lost.signal.aborted) return;
    lost.abort(new Error(reason));
    void sql.end({ timeout: 0 }).catch(() => {}); // or it would connect anew for the next question
  }

  /** Leads by name, with their epochs. */
  const held = new Map<string, number>();
  let unanswered = 0;
  const ask = async (): Promise<void> => {
    // Counted in beats: a process that was held up for long has had no chance to hear the answer.
    if (unanswered >= maxUnanswered) return end("the database does not answer");
    unanswered += 1;
    try {
      const rows = await sql.unsafe("SELECT name, epoch FROM happyview_leads");
      unanswered = 0;
      // Two can only lead where the lock is not of our session: behind a pooler that gives each statement another one.
      if (rows.some(({ name, epoch }) => epoch > (held.get(String(name)) ?? Infinity)))
        end("another process leads; DATABASE_URL must not go through a pooler of transactions");
    } catch (error) {
      end(explain(error));
    }
  };
  const beat = setInterval(() => void ask(), beatMs);
  beat.unref();

  async function release(name: string): Promise<void> {
    held.delete(name);
    if (lost.signal.aborted) return;
    await sql.unsafe("SELECT pg_advisory_unlock($1, $2)", [lockClass, keyOf(name)]);
  }

  try {
    await sql.unsafe("SELECT 1");
    await sql.unsafe(keepalives).catch(() => {}); // not every platform has them
  } catch (error) {
    end("it could not be opened");
    throw error;
  }
  return {
    lost: lost.signal,
    async take(name) {
      const [row] = await sql.unsafe("SELECT pg_try_advisory_lock($1, $2) AS is_ours", [
        lockClass,
        keyOf(name),
      ]);
      if (row?.["is_ours"] !== true) return undefined;
      try {
        const [lead] = await sql.unsafe(nextEpoch.replace("?", "$1"), [name]);
        lost.signal.throwIfAborted();
        const epoch = Number(lead?.["epoch"]);
        held.set(name, epoch);
        return epoch;
      } catch (error) {
        await release(name).catch(() => {}); // nobody would lead while we hold on to a lock without its epoch
        throw error;
      }
    },
    release,
    async close() {
      clearInterval(beat);
      await sql.end({ timeout: 2 });
    },
  };
}

function keyOf(name: string): number {
  return createHash("sha256").update(name).digest().readInt32BE(0);
}
