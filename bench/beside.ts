import { postEvents, type IngestOptions } from "./ingest.ts";
import { startLive } from "./live.ts";
import { load } from "./load.ts";
import type { Figure } from "./main.ts";
import { seed } from "./seed.ts";
import { startServer } from "./servers.ts";

const rows = 50_000;
const list = "/xrpc/bench.app.list";

/** Lists read at full speed while the stream comes at full speed, each beside itself alone. */
export async function beside(options: IngestOptions & { seconds: number }): Promise<Figure[]> {
  const { entry, root, databases, seconds } = options;
  const events = postEvents(options.events);
  const url = await databases.create("beside");
  await seed(root, url, rows);

  const quiet = await startServer(
    [entry],
    { DATABASE_URL: url, JETSTREAM_URL: "ws://127.0.0.1:9" },
    "/health",
  );
  const idle = await load(quiet.url + list, seconds).finally(() => quiet.stop());

  await using live = await startLive(entry, url, events);
  const rate = async (work: () => Promise<unknown>): Promise<number> => {
    const [from, start] = [await live.progress(), performance.now()];
    await work();
    return Math.round(((await live.progress()) - from) / ((performance.now() - start) / 1000));
  };
  await live.reaches(1);
  const alone = await rate(() => new Promise((resolve) => setTimeout(resolve, seconds * 1000)));
  let busy = idle;
  const both = await rate(async () => (busy = await load(live.server.url + list, seconds)));
  if ((await live.progress()) >= events.length)
    throw new Error(`the stream ended before its readers: --events ${4 * events.length}`);
  return [
    {
      name: "p99 of a list beside full ingest",
      value: busy.p99Ms,
      unit: "ms",
      beside: "p99 idle",
      calibration: idle.p99Ms,
      most: 3,
    },
    {
      name: "lists beside full ingest",
      value: busy.perSecond,
      unit: "req/s",
      beside: "lists idle",
      calibration: idle.perSecond,
    },
    {
      name: "ingest beside lists at full speed",
      value: both,
      unit: "events/s",
      beside: "ingest alone",
      calibration: alone,
      target: 0.5,
    },
  ];
}
