/** Runs what is given, now or when its turn has come. */
export type Gate = <T>(work: () => PromiseLike<T>) => Promise<T>;

/** Everything at once, asked in this turn: a transaction's statements run in the order of asking. */
export const noGate: Gate = (work) => Promise.resolve(work());

/**
 * So many run at once, the others in the order of their coming. What takes longer than `slowMs` does not count any
 * more: it holds up nobody.
 */
export function createGate(limit: number, slowMs: number): Gate {
  const waiting: (() => void)[] = [];
  let running = 0;

  async function turn(): Promise<void> {
    if (running < limit) running += 1;
    else await new Promise<void>((go) => waiting.push(go)); // whoever is through hands its place over
  }
  function leave(): void {
    const next = waiting.shift();
    if (next) next();
    else running -= 1;
  }

  return async (work) => {
    await turn();
    let isCounted = true;
    const leaveOnce = (): void => {
      if (isCounted) leave();
      isCounted = false;
    };
    const timer = setTimeout(leaveOnce, slowMs);
    try {
      return await work();
    } finally {
      clearTimeout(timer);
      leaveOnce();
    }
  };
}
