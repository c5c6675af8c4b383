import { Gauge, type Registry } from "prom-client";
import type { ProofLedger, ProofResult } from "./proof-ledger.ts";

type Ledger = Pick<ProofLedger, "read">;
type Counts = Record<ProofResult, number>;

/** What became of the samples of a collection, in every process and since the beginning. */
export interface Verification extends Counts {
  collection: string;
  /** Of what could be judged, rounded down so that 100 means all; null before anything could. */
  verified_percent: number | null;
}

const none: Counts = { proven: 0, failed: 0, unavailable: 0, skipped: 0 };

export async function verificationOf(ledger: Ledger): Promise<Verification[]> {
  const collections = new Map<string, Counts>();
  for (const { collection, result, count } of await ledger.read())
    collections.set(collection, { ...(collections.get(collection) ?? none), [result]: count });
  return [...collections].map(([collection, counts]) => ({
    collection,
    ...counts,
    verified_percent: percent(counts.proven, counts.proven + counts.failed),
  }));
}

/** `happyview_firehose_verified_percent`, by collection. */
export function showVerification(registry: Registry, ledger: Ledger): void {
  const verified = new Gauge({
    name: "happyview_firehose_verified_percent",
    help: "Share of the samples that the hosts of their accounts confirm, of those that could be judged",
    labelNames: ["collection"],
    registers: [],
    async collect() {
      // A database that is away says so elsewhere, and leaves the numbers as they were.
      for (const { collection, verified_percent } of await verificationOf(ledger).catch(() => []))
        if (verified_percent !== null) this.set({ collection }, verified_percent);
    },
  });
  registry.registerMetric(verified);
}

function percent(part: number, whole: number): number | null {
  return whole === 0 ? null : Math.floor((part / whole) * 10_000) / 100;
}
