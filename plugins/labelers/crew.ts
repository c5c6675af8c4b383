import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import { startLabelStream, type LabelStream, type LabelStreamParts } from "./stream.ts";

export interface Crew {
  /** The subscriptions may have changed: starts and stops streams. */
  refresh(): Promise<void>;
  /** Active labelers whose labels do not all come by themselves. */
  incomplete(): string[];
  close(): Promise<void>;
}

/** More labelers than this would be a crawl, not a subscription. */
const maxStreams = 100;
const lookEveryMs = 5000;

/** A stream for each active labeler, for as long as `signal` lasts. */
export function startCrew(
  parts: Omit<LabelStreamParts, "did"> & { app: Pick<PluginApp, "identity" | "events" | "log"> },
  signal: AbortSignal,
): Crew {
  const streams = new Map<string, LabelStream>();
  let last: Promise<void> = Promise.resolve();

  async function look(): Promise<void> {
    if (signal.aborted) return;
    const active = (await parts.subscriptions.list()).filter(({ status }) => status === "active");
    const wanted = new Set(active.slice(0, maxStreams).map(({ did }) => did));
    if (active.length > maxStreams)
      parts.app.log.warn("too many labelers; the newest are not read", {
        active: active.length,
        max: maxStreams,
      });
    for (const [did, stream] of streams)
      if (!wanted.has(did)) {
        streams.delete(did);
        await stream.close();
      }
    for (const did of wanted) if (!streams.has(did)) streams.set(did, startLabelStream({ ...parts, did }));
  }

  const refresh = (): Promise<void> => {
    last = last
      .then(look)
      .catch((error: unknown) =>
        parts.app.log.warn("the labeler subscriptions cannot be read now", { error: explain(error) }),
      );
    return last;
  };
  // Other processes may have changed them.
  const timer = setInterval(() => void refresh(), lookEveryMs).unref();
  void refresh();
  return {
    refresh,
    incomplete: () => [...streams].filter(([, stream]) => !stream.isComplete).map(([did]) => did),
    async close() {
      clearInterval(timer);
      await last;
      await Promise.all([...streams.values()].map((stream) => stream.close()));
    },
  };
}
