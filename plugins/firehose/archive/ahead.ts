/**
 * Results in the order of the tasks, of which `limit` run at once. When the source of tasks fails, what was begun before
 * is given out first: what comes before a failure is not lost by it.
 */
export async function* runAhead<T>(tasks: AsyncIterable<() => Promise<T>>, limit: number): AsyncGenerator<T> {
  const source = tasks[Symbol.asyncIterator]();
  const running: Promise<T>[] = [];
  const next = (): Promise<T> => running.shift() as Promise<T>; // asked for only while there is one
  let failure: { error: unknown } | undefined;
  try {
    for (;;) {
      const task = await source.next().catch((error: unknown) => void (failure = { error }));
      if (!task || task.done) break;
      const work = task.value();
      work.catch(() => undefined); // told when its turn comes
      running.push(work);
      if (running.length >= limit) yield await next();
    }
    while (running.length > 0) yield await next();
    if (failure) throw failure.error;
  } finally {
    await source.return?.();
  }
}
