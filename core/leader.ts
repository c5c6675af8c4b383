import { setTimeout as sleep } from "node:timers/promises";
import { Gauge, type Registry } from "prom-client";
import type { Database } from "./db/database.ts";
import { explain } from "./errors.ts";
import type { CheckResult } from "./health.ts";
import { nextEpoch, openLeaderSession, type LeaderSession } from "./leader-session.ts";
import type { Logger } from "./log.ts";

/**
 * Work that must be done by one process only, of all that share a database. On Postgres the leader of a name is whoever
 * holds its advisory lock, on a connection of its own; when that process dies or loses the connection, another one
 * takes over within seconds. On SQLite this process is always the leader.
 */
export interface Leader {
  /**
   * Runs `work` whenever this process leads `name`, until the result is closed. `signal` aborts when the lead is lost,
   * and then the work has to stop at once: the next leader may have begun. `epoch` grows with every lead of the name,
   * so that storage can refuse what an earlier leader writes late. Work that returns or throws gives the lead up, and
   * begins again after a pause.
   * @example app.onClose(app.leader.while("sweep", async (signal) => { … }).close)
   */
  while(name: string, work: (signal: AbortSignal, epoch: number) => Promise<void>): Candidacy;
  check(): CheckResult;
  /** Ends what still runs, and the connection. */
  close(): Promise<void>;
}

export interface Candidacy {
  readonly leads: boolean;
  /** Ends the work, then gives the lead to whoever waits for it. */
  close: () => Promise<void>;
}

export interface LeaderParts {
  db: Database;
  log: Logger;
  metrics: Registry;
  /** Between two attempts to become the leader, in milliseconds. @default 1500 */
  retryMs?: number;
  /** Between two questions whether the connection still answers, in milliseconds. @default 1500 */
  beatMs?: number;
}

interface Lead {
  epoch: number;
  lost: AbortSignal;
  release(): Promise<void>;
}

export function createLeader(parts: LeaderParts): Leader {
  const { db, log, retryMs = 1500, beatMs = 1500 } = parts;
  const candidacies = new Map<string, Candidacy>();
  const seats = db.source.dialect === "postgres" ? postgresSeats(db.source.url, beatMs) : onlySeat(db);
  const roles = new Gauge({
    name: "happyview_leader",
    help: "1 while this process leads, 0 while another one may",
    labelNames: ["name"] as const,
    registers: [],
    collect() {
      for (const [name, { leads }] of candidacies) this.set({ name }, leads ? 1 : 0);
    },
  });
  parts.metrics.registerMetric(roles);

  return {
    while(name, work) {
      if (candidacies.has(name)) throw new Error(`[leader] two owners want to lead "${name}"`);
      const stopping = new AbortController();
      let held: Lead | undefined;
      let isTold = false;

      /** Nothing where another process leads, or the database is away. */
      async function take(): Promise<Lead | undefined> {
        try {
          const lead = await seats.take(name);
          isTold = false;
          return lead;
        } catch (error) {
          log[isTold ? "debug" : "warn"]("the leader cannot be found out; trying again", {
            name,
            error: explain(error),
          });
          isTold = true;
          return undefined;
        }
      }

      async function serve(lead: Lead): Promise<void> {
        const signal = AbortSignal.any([lead.lost, stopping.signal]);
        held = lead;
        log.info("this process leads now", { name, epoch: lead.epoch });
        try {
          await work(signal, lead.epoch);
        } catch (error) {
          if (!signal.aborted) log.error("the work of a leader failed", { name, error: explain(error) });
        }
        held = undefined;
        if (lead.lost.aborted)
          log.warn("this process no longer leads", { name, reason: explain(lead.lost.reason) });
        await lead.release().catch(() => {}); // the connection is gone, and the lead with it
      }

      async function stand(): Promise<void> {
        while (!stopping.signal.aborted) {
          const lead = await take();
          if (lead) await serve(lead);
          await sleep(retryMs, undefined, { signal: stopping.signal, ref: false }).catch(() => {});
        }
      }

      const standing = stand();
      const candidacy: Candidacy = {
        get leads() {
          return held !== undefined && !held.lost.aborted;
        },
        async close() {
          stopping.abort();
          await standing;
          candidacies.delete(name);
        },
      };
      candidacies.set(name, candidacy);
      return candidacy;
    },
    check: () => ({
      ok: true,
      detail: Object.fromEntries(
        [...candidacies].map(([name, { leads }]) => [name, leads ? "leader" : "follower"]),
      ),
    }),
    async close() {
      await Promise.all([...candidacies.values()].map((candidacy) => candidacy.close()));
      await seats.close();
    },
  };
}

interface Seats {
  take(name: string): Promise<Lead | undefined>;
  close(): Promise<void>;
}

/** One process has the file: it leads, and counts its leads as others do. */
function onlySeat(db: Database): Seats {
  const never = new AbortController().signal;
  return {
    async take(name) {
      const row = await db.transaction((tx) => tx.get<{ epoch: number }>(nextEpoch, [name]));
      return { epoch: row?.epoch ?? 0, lost: never, release: async () => {} };
    },
    close: async () => {},
  };
}

/** All leads of the process share one connection, which is opened when the first is asked for and anew after a loss. */
function postgresSeats(url: string, beatMs: number): Seats {
  let opening: Promise<LeaderSession> | undefined;

  /** One question after the other: two that find the connection lost must not open two. */
  function session(): Promise<LeaderSession> {
    const before = opening?.catch(() => undefined);
    const now = (async () => {
      const open = await before;
      return open && !open.lost.aborted ? open : openLeaderSession(url, { beatMs });
    })();
    opening = now;
    return now;
  }

  return {
    async take(name) {
      const { take, release, lost } = await session();
      const epoch = await take(name);
      return epoch === undefined ? undefined : { epoch, lost, release: () => release(name) };
    },
    async close() {
      const open = await opening?.catch(() => undefined);
      await open?.close();
    },
  };
}
