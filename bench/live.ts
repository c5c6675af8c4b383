import { connect, type Database } from "../core/db/database.ts";
import type { JetstreamEvent } from "../playground/network/event.ts";
import { createNetwork, type Network } from "../playground/network/network.ts";
import { startServer, type Server } from "./servers.ts";

/** A built server that reads so many events from the simulator's Jetstream, from the first one on. */
export interface LiveServer extends AsyncDisposable {
  server: Server;
  /** How many events are durable. */
  progress(): Promise<number>;
  /** Waits until so many are. */
  reaches(count: number): Promise<void>;
}

export async function startLive(
  entry: string,
  url: string,
  events: readonly JetstreamEvent[],
): Promise<LiveServer> {
  const network: Network = await createNetwork({ seed: 7 });
  await network.jetstream.load(events.map((event) => JSON.stringify(event)));
  const db: Database = await connect({ url, maxConnections: 1 });
  await db.run("INSERT INTO happyview_stream_positions (source, position, updated_at) VALUES (?, '1', '')", [
    `jetstream:${new URL(network.jetstreamUrl).host}`,
  ]);
  const server = await startServer(
    [entry],
    { DATABASE_URL: url, JETSTREAM_URL: network.jetstreamUrl },
    "/health",
  );
  const index = new Map(events.map((event, i) => [String(event.time_us), i + 1]));
  const progress = async (): Promise<number> => {
    const rows = await db.all<{ position: string }>("SELECT position FROM happyview_stream_positions");
    return Math.max(0, ...rows.map(({ position }) => index.get(position) ?? 0));
  };
  return {
    server,
    progress,
    async reaches(count) {
      while ((await progress()) < count) await new Promise((resolve) => setTimeout(resolve, 25));
    },
    async [Symbol.asyncDispose]() {
      await server.stop();
      await db.close();
      await network.close();
    },
  };
}
