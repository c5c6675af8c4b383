import type { Task } from "./seat.ts";

/** Runs that wait for a thread. */
export interface Line {
  add(task: Task): void;
  /** Back to the front, in their order. */
  putBack(tasks: readonly Task[]): void;
  /** Whose turn it is. */
  first(): Task | undefined;
  /** The first one has been seated. */
  shift(): void;
  /** How many there are that may be turned away: neither arrivals nor nested ones. */
  requests(): number;
  isEmpty(): boolean;
  clear(): Task[];
}

/**
 * Nested runs go first, so that what waits for them becomes free. Arrivals and requests take turns, each in the order in
 * which they came: neither a flood of records nor one of queries keeps the other waiting, nor one repo another.
 */
export function createLine(): Line {
  const nested: Task[] = [];
  const arrivals: Task[] = [];
  const requests: Task[] = [];
  let isArrivalsTurn = false;

  const listOf = (task: Task): Task[] => (task.isNested ? nested : task.isArrival ? arrivals : requests);
  const firstOf = (list: Task[]): Task | undefined => {
    while (list[0]?.isSettled) list.shift();
    return list[0];
  };
  const first = (): Task | undefined => {
    const [arrival, request] = [firstOf(arrivals), firstOf(requests)];
    return firstOf(nested) ?? (isArrivalsTurn ? (arrival ?? request) : (request ?? arrival));
  };

  return {
    add: (task) => void listOf(task).push(task),
    putBack(tasks) {
      for (const task of tasks.toReversed()) listOf(task).unshift(task);
    },
    first,
    shift() {
      const task = first();
      if (!task) return;
      listOf(task).shift();
      if (!task.isNested) isArrivalsTurn = !task.isArrival;
    },
    requests: () => requests.length,
    isEmpty: () => nested.length + arrivals.length + requests.length === 0,
    clear: () => [nested, arrivals, requests].flatMap((list) => list.splice(0)),
  };
}
