import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import { firehoseAdmin } from "./admin.ts";
import type { VerifyLevel } from "./intake.ts";
import { createProofLedger } from "./proof-ledger.ts";
import { createProofs, type ProofPace, type Proofs } from "./proofs.ts";
import { replaceProven } from "./replace.ts";
import type { Status } from "./status.ts";
import { showVerification } from "./verification.ts";

export interface SamplingParts {
  verify: VerifyLevel;
  sampleShare: number;
  pace: Partial<ProofPace> | undefined;
  status: Pick<Status, "proof">;
  /** Unix milliseconds. */
  now: () => number;
  random: (() => number) | undefined;
}

/** Proofs of a share of the records, counted in the database and told by the admin API; none at another level. */
export function startSampling(app: PluginApp, parts: SamplingParts): Proofs["sample"] | undefined {
  const { verify, sampleShare, pace, status, now, random } = parts;
  const { db, events, identity, log, metrics } = app;
  const isOn = verify === "sampled";
  const ledger = createProofLedger(db, (error) =>
    log.warn("counts of proofs cannot be stored now", { error: explain(error) }),
  );
  app.onClose(() => ledger.close());
  const proofs = createProofs({
    share: isOn ? sampleShare : 0,
    identity,
    fetch: app.fetch,
    events,
    count(collection, result) {
      status.proof(collection, result);
      ledger.add(collection, result);
    },
    replace: replaceProven({ db, pipeline: app.records.pipeline, log }),
    now,
    random,
    ...(pace ? { pace } : {}),
  });
  app.onClose(() => proofs.close());
  firehoseAdmin(app.admin, { verify, sampleShare, ledger, waiting: proofs.waiting });
  if (!isOn) return undefined;
  showVerification(metrics, ledger);
  return proofs.sample;
}
