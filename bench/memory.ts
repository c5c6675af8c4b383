import { postEvents, type IngestOptions } from "./ingest.ts";
import { startLive } from "./live.ts";
import type { Figure } from "./main.ts";
import { prepare } from "./app.ts";
import type { Server } from "./servers.ts";

/** The most memory of the server in the last quarter of a long stream, beside that of the second. */
export async function memory({ entry, root, databases, events: count }: IngestOptions): Promise<Figure[]> {
  const events = postEvents(count);
  const url = await databases.create("memory");
  await prepare(root, url);
  await using live = await startLive(entry, url, events);
  const quarter = async (from: number, to: number): Promise<number> => {
    await live.reaches(Math.floor(events.length * from));
    return mostMemory(live.server, live.reaches(Math.floor(events.length * to)));
  };
  const early = await quarter(0.25, 0.5);
  const late = await quarter(0.75, 1);
  return [memoryFigure(`memory over ${count} events`, { early, late })];
}

export function memoryFigure(name: string, { early, late }: { early: number; late: number }): Figure {
  return { name, value: late, unit: "MiB", beside: "in the second quarter", calibration: early, most: 1.25 };
}

/** In MiB, until the work is done. */
export async function mostMemory(server: Server, work: Promise<unknown>): Promise<number> {
  let isOver = false;
  void work.finally(() => (isOver = true));
  let most = 0;
  while (!isOver) {
    most = Math.max(most, server.mebibytes());
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  await work;
  return most;
}
