import { expect, test, vi } from "vitest";
import { createSchedule, type Schedule } from "../../../plugins/network-lexicons/schedule.ts";

/** A schedule whose runs end when the test says so. */
function createBench(concurrency = 2): {
  schedule: Schedule;
  begun: string[];
  end(key: string, delay?: number): Promise<void>;
} {
  const begun: string[] = [];
  const open = new Map<string, (delay: number) => void>();
  const schedule = createSchedule({
    concurrency,
    now: Date.now,
    run(key) {
      expect(open.has(key)).toBe(false);
      begun.push(key);
      return new Promise((resolve) => open.set(key, resolve));
    },
  });
  return {
    schedule,
    begun,
    async end(key, delay = Infinity) {
      const resolve = open.get(key);
      open.delete(key);
      resolve?.(delay);
      await new Promise(setImmediate);
    },
  };
}

test("nothing runs before the start, then the earliest first and so many at once", async () => {
  const { schedule, begun, end } = createBench();
  schedule.at("c", 3);
  schedule.at("a", 1);
  schedule.at("b", 2);
  expect(begun).toEqual([]);
  schedule.start();
  expect(begun).toEqual(["a", "b"]);
  await end("a");
  expect(begun).toEqual(["a", "b", "c"]);
});

test("a key has one turn at a time; one that is asked for meanwhile comes after", async () => {
  const { schedule, begun, end } = createBench();
  schedule.start();
  schedule.at("a", 0);
  schedule.at("a", 0);
  expect(begun).toEqual(["a"]);
  await end("a");
  expect(begun).toEqual(["a", "a"]);
  await end("a");
  expect(begun).toEqual(["a", "a"]);
});

test("the next turn comes after the delay that a run gives, an earlier one stays", async () => {
  const { schedule, begun, end } = createBench();
  schedule.start();
  schedule.at("a", 0);
  await end("a", 5);
  await vi.waitFor(() => expect(begun).toEqual(["a", "a"]));
  await end("a", 1_000_000);
  schedule.at("a", 2_000_000_000_000_000);
  schedule.at("a", 0);
  expect(begun).toEqual(["a", "a", "a"]);
});

test("what is removed while it runs does not come again, and nothing runs beside it", async () => {
  const { schedule, begun, end } = createBench();
  schedule.start();
  schedule.at("a", 0);
  schedule.remove("a");
  schedule.at("a", 0);
  expect(begun).toEqual(["a"]);
  await end("a");
  expect(begun).toEqual(["a", "a"]);
  schedule.remove("a");
  await end("a", 0);
  expect(begun).toEqual(["a", "a"]);
});

test("closing waits for what runs and begins nothing more", async () => {
  const { schedule, begun, end } = createBench(1);
  schedule.start();
  schedule.at("a", 0);
  schedule.at("b", 0);
  const closed = schedule.close();
  await end("a", 0);
  await closed;
  expect(begun).toEqual(["a"]);
});
