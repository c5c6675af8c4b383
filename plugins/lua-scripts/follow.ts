import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";

/** How often the edits of other processes are looked for. */
export const followEveryMs = 2000;

export interface Followed<Rows> {
  /** Its rows have `updated_at`. */
  table: string;
  /** The column of its primary key. */
  key: string;
  read(): Promise<Rows>;
  /** Takes the rows in place of what is held; not called where an edit of this process came between. */
  apply(rows: Rows): void;
  everyMs: number;
}

/** Where an edit of this process meets a reload that began before it. */
export interface Follower {
  /** This process has written: to be called in the same turn in which what is held changes. */
  edited(): void;
}

/** Keeps what is held of a table like the table, which other processes change, while the instance runs. */
export function followTable<Rows>(
  { db, log, hook, onClose }: Pick<PluginApp, "db" | "log" | "hook" | "onClose">,
  { table, key, read, apply, everyMs }: Followed<Rows>,
): Follower {
  let edits = 0;
  /** What the table looked like when it was read last; undefined where it is to be read anew. */
  let seen: string | undefined;
  let isTold = false;

  async function poll(): Promise<void> {
    const before = edits;
    // Before the rows: what changes between the two is seen by the next poll. Of every row, for the clocks of those who
    // write them differ: the newest alone would hide an edit by a process whose clock is behind.
    const state = JSON.stringify(
      await db.all(`SELECT ${key} AS id, updated_at FROM ${table} ORDER BY ${key}`),
    );
    if (state === seen || before !== edits) return;
    const rows = await read();
    if (before !== edits) return;
    apply(rows);
    seen = state;
  }

  hook("app:ready", () => {
    let running: Promise<void> | undefined;
    const timer = setInterval(() => {
      running ??= poll()
        .then(
          () => void (isTold = false),
          (error: unknown) => {
            if (!isTold)
              log.warn("changes of other processes cannot be read", { table, error: explain(error) });
            isTold = true;
          },
        )
        .finally(() => void (running = undefined));
    }, everyMs).unref();
    onClose(async () => {
      clearInterval(timer);
      await running;
    });
  });
  return {
    edited() {
      edits++;
      seen = undefined; // another process may have written at the same time
    },
  };
}
