/** Waits for what cannot be aborted itself, until it ends or the signal aborts: then it goes on unseen. */
export function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** Waits for all; the first that fails stops the others, and its error is thrown. */
export async function allEnded(tasks: readonly Promise<void>[], stop: () => void): Promise<void> {
  const errors: unknown[] = [];
  const failed = (error: unknown): void => {
    errors.push(error);
    stop();
  };
  await Promise.all(tasks.map((task) => task.catch(failed)));
  if (errors.length > 0) throw errors[0];
}
