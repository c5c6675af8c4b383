export interface ScheduleParts {
  /** Works on a key; gives the milliseconds until its next turn, Infinity for none. Must not reject. */
  run(key: string): Promise<number>;
  /** How many keys are worked on at once. */
  concurrency: number;
  /** Unix milliseconds. */
  now: () => number;
}

/** Turns by key: each at its time, never two of one key at once, only so many of all. */
export interface Schedule {
  /** Gives the key a turn at this time (Unix milliseconds), if it has no earlier one. */
  at(key: string, time: number): void;
  remove(key: string): void;
  /** Before it nothing runs. */
  start(): void;
  /** Starts nothing more; resolves when what runs has ended. */
  close(): Promise<void>;
}

interface Entry {
  dueAt: number;
  isRunning: boolean;
  /** It goes when what runs has ended, so that nothing runs beside it. */
  isRemoved: boolean;
}

/** The longest that a timer of the runtime can wait is 24 days. */
const maxWaitMs = 24 * 60 * 60 * 1000;

export function createSchedule({ run, concurrency, now }: ScheduleParts): Schedule {
  const entries = new Map<string, Entry>();
  const running = new Set<Promise<void>>();
  let timer: NodeJS.Timeout | undefined;
  let state: "waiting" | "started" | "closed" = "waiting";

  function next(): [string, Entry] | undefined {
    let first: [string, Entry] | undefined;
    for (const item of entries)
      if (!item[1].isRunning && item[1].dueAt < (first?.[1].dueAt ?? Infinity)) first = item;
    return first;
  }

  /** Begins what is due, and sleeps until something is. */
  function pump(): void {
    clearTimeout(timer);
    while (state === "started" && running.size < concurrency) {
      const first = next();
      if (!first) return;
      const [key, entry] = first;
      const wait = entry.dueAt - now();
      if (wait > 0) {
        timer = setTimeout(pump, Math.min(wait, maxWaitMs)).unref();
        return;
      }
      begin(key, entry);
    }
  }

  function begin(key: string, entry: Entry): void {
    entry.isRunning = true;
    entry.dueAt = Infinity; // a turn that is asked for meanwhile comes after this one
    const work = run(key).then((delay) => {
      running.delete(work);
      entry.isRunning = false;
      if (!entry.isRemoved) entry.dueAt = Math.min(entry.dueAt, now() + delay);
      if (entry.dueAt === Infinity) entries.delete(key);
      pump();
    });
    running.add(work);
  }

  return {
    at(key, time) {
      const entry = entries.get(key) ?? { dueAt: Infinity, isRunning: false, isRemoved: false };
      entry.dueAt = Math.min(entry.dueAt, time);
      entry.isRemoved = false;
      entries.set(key, entry);
      pump();
    },
    remove(key) {
      const entry = entries.get(key);
      if (!entry?.isRunning) entries.delete(key);
      else Object.assign(entry, { isRemoved: true, dueAt: Infinity });
    },
    start() {
      if (state === "waiting") state = "started";
      pump();
    },
    async close() {
      state = "closed";
      clearTimeout(timer);
      await Promise.all(running);
    },
  };
}
