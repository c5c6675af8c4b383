import type { ApplyLabel } from "../lua-scripts/label.ts";
import { problemOf, readLabel, type Label, type SignedLabel } from "./label.ts";
import type { Status } from "./status.ts";
import type { LabelVerifier } from "./verify.ts";

export interface IntakeParts {
  verify: LabelVerifier;
  /** The scripts of `labeler.apply`; without them labels are stored as they come. */
  apply: ApplyLabel | undefined;
  status: Pick<Status, "refused" | "counted">;
}

/**
 * What to store of labels that a labeler sent, in their order: those that are its own and signed by it, as their script
 * leaves them (lua §1.4). The others are reported.
 */
export type LabelIntake = (did: string, values: readonly unknown[], signal: AbortSignal) => Promise<Label[]>;

export function createIntake({ verify, apply, status }: IntakeParts): LabelIntake {
  function readable(did: string, value: unknown): SignedLabel[] {
    const signed = readLabel(value);
    const reason =
      typeof signed !== "string" && signed.label.src !== did ? "it is of another labeler" : signed;
    if (typeof reason !== "string") return [reason];
    status.refused(did, reason, typeof signed === "string" ? undefined : signed.label.uri);
    return [];
  }

  async function scripted(did: string, label: Label, signal: AbortSignal): Promise<Label[]> {
    const applied = apply ? await apply(label, signal) : label;
    signal.throwIfAborted();
    if (!applied) {
      status.counted("dropped", 1);
      return [];
    }
    const result: Label = applied.uri === label.uri ? { ...applied, cid: label.cid } : applied;
    const problem = problemOf(result);
    if (problem === undefined) return [result];
    status.refused(did, `its script made of it what cannot be stored: ${problem}`, label.uri);
    return [];
  }

  return async (did, values, signal) => {
    const labels = values.flatMap((value) => readable(did, value));
    const verified = labels.length > 0 ? await verify(did, labels, signal) : [];
    const accepted: Label[] = [];
    for (const [i, { label }] of labels.entries()) {
      if (verified[i]) accepted.push(...(await scripted(did, label, signal)));
      else status.refused(did, "its signature is not the labeler's", label.uri);
    }
    return accepted;
  };
}
