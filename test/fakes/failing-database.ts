import type { Database } from "../../core/db/database.ts";

export interface Outage {
  db: Database;
  /** How many transactions are still refused; set it to end or begin an outage. */
  left: number;
  /** How many were refused so far. */
  refused: number;
}

/** A database whose transactions fail as a lost connection does, `times` times. */
export function failing(db: Database, times: number): Outage {
  const outage: Outage = {
    left: times,
    refused: 0,
    db: {
      ...db,
      async transaction(work) {
        if (outage.left <= 0) return db.transaction(work);
        outage.left -= 1;
        outage.refused += 1;
        throw Object.assign(new Error("the connection was lost"), { code: "ECONNRESET" });
      },
      insertMany: (insert, rows) =>
        outage.left > 0
          ? Promise.reject(Object.assign(new Error("the connection was lost"), { code: "ECONNRESET" }))
          : db.insertMany(insert, rows),
    },
  };
  return outage;
}
