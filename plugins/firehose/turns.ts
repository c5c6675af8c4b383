/** Work by repo: most of it side by side, some of it alone, after all that was given before and before all after. */
export interface Turns {
  /** `work` may reject: whoever gave it repeats it. A promise means "give no more before it resolves". */
  take(did: string, isAlone: boolean, work: () => Promise<void>): Promise<void> | undefined;
  /** Resolves when nothing is left. */
  done(): Promise<void>;
}

interface Repo {
  /** All that was given so far. */
  all: Promise<unknown>;
  /** The last of those that are alone. */
  alone: Promise<unknown> | undefined;
  count: number;
}

/** Beyond `limit` pieces of work under way it asks to wait until half of them are done. */
export function createTurns(limit: number): Turns {
  const repos = new Map<string, Repo>();
  let pending = 0;
  let waiting: { until: number; go: () => void }[] = [];

  function over(did: string, repo: Repo): void {
    pending -= 1;
    repo.count -= 1;
    if (repo.count === 0) repos.delete(did);
    const go = waiting.filter(({ until }) => pending <= until);
    waiting = waiting.filter(({ until }) => pending > until);
    for (const waiter of go) waiter.go();
  }

  const until = (count: number): Promise<void> =>
    pending <= count ? Promise.resolve() : new Promise((go) => waiting.push({ until: count, go }));

  return {
    take(did, isAlone, work) {
      const repo = repos.get(did) ?? { all: Promise.resolve(), alone: undefined, count: 0 };
      repos.set(did, repo);
      repo.count += 1;
      pending += 1;
      const before = isAlone ? repo.all : repo.alone;
      const done = (before ? before.then(work) : work()).catch(() => undefined).then(() => over(did, repo));
      if (isAlone) repo.alone = done;
      repo.all = Promise.all([repo.all, done]).then(() => undefined); // or the results would pile up, one in the other
      return pending >= limit ? until(limit / 2) : undefined;
    },
    done: () => until(0),
  };
}
