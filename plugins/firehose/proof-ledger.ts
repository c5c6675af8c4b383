import type { BulkInsert, Database } from "../../core/db/database.ts";

/** What a sample led to. */
export type ProofResult = "proven" | "failed" | "unavailable" | "skipped";

/** Counts of samples in the database, as all processes see them. */
export interface ProofLedger {
  add(collection: string, result: ProofResult): void;
  read(): Promise<{ collection: string; result: ProofResult; count: number }[]>;
  close(): Promise<void>;
}

const intoProofs: BulkInsert = {
  table: "happyview_firehose_proofs",
  columns: { collection: "text", result: "text", count: "int" },
  onConflict: "(collection, result) DO UPDATE SET count = happyview_firehose_proofs.count + excluded.count",
};

const flushMs = 5000;

export function createProofLedger(db: Database, onError: (error: unknown) => void): ProofLedger {
  let counts = new Map<string, number>();

  async function flush(): Promise<void> {
    if (counts.size === 0) return;
    const written = counts;
    counts = new Map();
    const rows = [...written].map(([key, count]) => [...key.split(" "), count]);
    try {
      await db.insertMany(intoProofs, rows);
    } catch (error) {
      for (const [key, count] of written) counts.set(key, count + (counts.get(key) ?? 0));
      onError(error);
    }
  }

  const timer = setInterval(() => void flush(), flushMs);
  timer.unref();
  return {
    add(collection, result) {
      const key = `${collection} ${result}`; // an NSID has no spaces
      counts.set(key, (counts.get(key) ?? 0) + 1);
    },
    async read() {
      await flush();
      return db.all(
        "SELECT collection, result, count FROM happyview_firehose_proofs ORDER BY collection, result",
      );
    },
    async close() {
      clearInterval(timer);
      await flush();
    },
  };
}
