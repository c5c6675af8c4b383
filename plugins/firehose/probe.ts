import { connectOnce } from "./connection.ts";

/** How to find out whether a source could be read, without reading it. */
export interface Probe {
  /** The live tip. */
  url: string;
  /** Where the tip is: the position and time of a frame; undefined for a frame that tells nothing. */
  read?: (data: Buffer) => { position: string; timeUs: number } | undefined;
}

export interface Probed {
  isWell: boolean;
  place?: { position: string; timeUs: number };
}

/** Opens a connection to the tip, and closes at the first frame; it is well, too, when it holds for `listenMs`. */
export async function probe(
  { url, read }: Probe,
  options: { connectTimeoutMs: number; signal: AbortSignal; listenMs: number },
): Promise<Probed> {
  const done = new AbortController();
  const signal = AbortSignal.any([done.signal, options.signal]);
  const found: Probed = { isWell: false };
  let timer: NodeJS.Timeout | undefined;
  await connectOnce({
    url,
    signal,
    connectTimeoutMs: options.connectTimeoutMs,
    idleTimeoutMs: 60_000,
    onOpen() {
      timer = setTimeout(() => {
        found.isWell = true;
        done.abort();
      }, options.listenMs);
    },
    onFrame(data) {
      const place = read?.(data);
      if (read && !place) return;
      if (place) found.place = place;
      found.isWell = true;
      done.abort();
    },
  });
  clearTimeout(timer);
  return found;
}
