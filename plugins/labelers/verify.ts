import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { isUnreachable } from "../../core/identity/resolve.ts";
import { createBackoff } from "../firehose/backoff.ts";
import type { LabelerIdentities } from "./identities.ts";
import { isSignedBy, type SignedLabel } from "./label.ts";

/**
 * Which of the labels their labeler signed. While the directory is away it waits: a label that nobody can check now is
 * not a bad one.
 * @throws Error when the labeler's document gives no key, or at an abort
 */
export type LabelVerifier = (
  did: string,
  labels: readonly SignedLabel[],
  signal: AbortSignal,
) => Promise<boolean[]>;

const maxWaitMs = 30_000;
const atOnce = 8;

export function createVerifier(
  identities: LabelerIdentities,
  options: { random?: (() => number) | undefined } = {},
): LabelVerifier {
  async function patiently<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const backoff = createBackoff({ maxMs: maxWaitMs, random: options.random });
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        signal.throwIfAborted();
        if (!isUnreachable(error)) throw error;
        await sleep(backoff.after({ openMs: 0, delivered: false }), undefined, { signal });
      }
    }
  }

  return async (did, labels, signal) => {
    let { key } = await patiently(() => identities.resolve(did), signal);
    const results: boolean[] = [];
    for (let start = 0; start < labels.length; start += atOnce) {
      await nextTurn(); // requests go in between
      signal.throwIfAborted();
      const group = labels.slice(start, start + atOnce);
      const tried = key;
      const checked = await Promise.all(group.map((label) => isSignedBy(tried, label)));
      for (const [i, label] of group.entries())
        results.push(checked[i] || (await isSignedAnew(label, tried)));
    }
    return results;

    /** The key may have changed since its document was cached. */
    async function isSignedAnew(label: SignedLabel, tried: string): Promise<boolean> {
      ({ key } = await patiently(() => identities.refresh(did), signal));
      return key !== tried && isSignedBy(key, label);
    }
  };
}
