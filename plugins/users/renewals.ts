import type { PluginApp } from "../../core/index.ts";

/** Lets the document of a DID be read anew, unless that was done within the last minute. */
export type Renew = (did: string) => Promise<void>;

const everyMs = 60_000;
const maxRemembered = 1000;

/**
 * Anybody may send a token with a wrong signature and name whom he wants: the directory is asked again but now and then,
 * and what is remembered for that has an end.
 */
export function createRenewals({ identity, clock }: Pick<PluginApp, "identity" | "clock">): Renew {
  const renewed = new Map<string, { at: number; done: Promise<void> }>();

  return async (did) => {
    for (const [known, { at }] of renewed) {
      if (clock.now() - at < everyMs) break; // the oldest are first
      renewed.delete(known);
    }
    const last = renewed.get(did);
    if (last) return last.done; // its document may be on its way
    if (renewed.size >= maxRemembered) return;
    const done = identity.forget(did);
    renewed.set(did, { at: clock.now(), done });
    await done;
  };
}

const strangersPerMinute = 30;

/** Whether another stranger may be looked up: everybody can name as many DIDs as he wants. */
export function createStrangers({ clock }: Pick<PluginApp, "clock">): () => boolean {
  let [minute, count] = [0, 0];
  return () => {
    const now = Math.floor(clock.now() / 60_000);
    if (now !== minute) [minute, count] = [now, 0];
    count += 1;
    return count <= strangersPerMinute;
  };
}
