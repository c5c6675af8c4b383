import type { PluginApp } from "../../core/index.ts";
import type { VerifyLevel } from "./intake.ts";
import type { ProofLedger } from "./proof-ledger.ts";
import { verificationOf } from "./verification.ts";

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
  const { verify, sampleShare, ledger, waiting } = parts;
  admin.route("GET /firehose/verification", { permission: "stats:read" }, async () => ({
    level: verify,
    sample_share: verify === "sampled" ? sampleShare : 0,
    waiting: waiting(),
    collections: await verificationOf(ledger),
  }));
}
