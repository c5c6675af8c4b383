import { explain } from "../../core/errors.ts";
import type { Logger } from "../../core/log.ts";
import { startLabelStream, type LabelStream, type LabelStreamParts } from "./stream.ts";

export interface Crew {
  /** The subscriptions may have changed: starts and stops streams, and deletes the labels of what was removed. */
  refresh(): Promise<void>;
  close(): Promise<void>;
}

export interface CrewParts extends Omit<LabelStreamParts, "did"> {
  log: Logger;
  /** Between two looks at what other processes have changed. */
  lookEveryMs: number;
}

/** A stream for each active labeler. */
export function startCrew(parts: CrewParts): Crew {
  const { subscriptions, log } = parts;
  const streams = new Map<string, LabelStream>();
  const stopping = new AbortController();
  let last: Promise<void> = Promise.resolve();
  let removing: Promise<void> | undefined;

  async function look(): Promise<void> {
    if (stopping.signal.aborted) return;
    await subscriptions.refresh();
    const active = subscriptions.all().filter(({ status }) => status === "active");
    const wanted = new Set(active.map(({ did }) => did));
    const over = [...streams].filter(([did]) => !wanted.has(did));
    for (const [did] of over) streams.delete(did);
    await Promise.all(over.map(([, stream]) => stream.close()));
    for (const did of wanted) if (!streams.has(did)) streams.set(did, startLabelStream({ ...parts, did }));
    // That may take a while, and others need not wait for it.
    removing ??= subscriptions
      .finishRemovals(stopping.signal)
      .catch((error: unknown) =>
        log.warn("labels of a removed labeler cannot be deleted now", { error: explain(error) }),
      )
      .finally(() => (removing = undefined));
  }

  const refresh = (): Promise<void> => {
    last = last
      .then(look)
      .catch((error: unknown) =>
        log.warn("the labeler subscriptions cannot be read now", { error: explain(error) }),
      );
    return last;
  };
  const timer = setInterval(() => void refresh(), parts.lookEveryMs);
  timer.unref();
  void refresh();
  return {
    refresh,
    async close() {
      stopping.abort();
      clearInterval(timer);
      await last;
      await removing;
      await Promise.all([...streams.values()].map((stream) => stream.close()));
    },
  };
}
