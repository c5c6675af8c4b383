import type { PluginApp } from "../../core/index.ts";
import type { VerifyLevel } from "./intake.ts";
import type { ProofLedger, ProofResult } from "./proof-ledger.ts";

interface Counts extends Record<ProofResult, number> {
  collection: string;
}

/** `GET /admin/firehose/verification`: how much of what was sampled the accounts' own hosts confirm. */
export function firehoseAdmin(
  admin: PluginApp["admin"],
  parts: {
    verify: VerifyLevel;
    sampleShare: number;
    ledger: Pick<ProofLedger, "read">;
    waiting: () => number;
  },
): void {
  admin.route("GET /firehose/verification", { permission: "stats:read" }, async () => {
    const collections = new Map<string, Counts>();
    for (const { collection, result, count } of await parts.ledger.read()) {
      const counts = collections.get(collection) ?? { collection, ...none };
      collections.set(collection, { ...counts, [result]: count });
    }
    return {
      level: parts.verify,
      sample_share: parts.verify === "sampled" ? parts.sampleShare : 0,
      waiting: parts.waiting(),
      collections: [...collections.values()].map((counts) => ({
        ...counts,
        verified_percent: percent(counts.proven, counts.proven + counts.failed),
      })),
    };
  });
}

const none: Record<ProofResult, number> = { proven: 0, failed: 0, unavailable: 0, skipped: 0 };

/** Null before anything could be judged. Rounded down, so that 100 means all. */
function percent(part: number, whole: number): number | null {
  return whole === 0 ? null : Math.floor((part / whole) * 10_000) / 100;
}
