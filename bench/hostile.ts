import type { Figure } from "./main.ts";
import { startServer } from "./servers.ts";

const attacks = ["loop", "pcall", "memory", "pattern"];

/** The worst latency of a client that reads one record again and again while another one's scripts misbehave. */
export async function hostile({
  entry,
  databaseFile,
}: {
  entry: string;
  databaseFile: string;
}): Promise<Figure[]> {
  const server = await startServer(
    [entry],
    { DATABASE_URL: `file:${databaseFile}`, JETSTREAM_URL: "ws://127.0.0.1:9" },
    "/health",
  );
  try {
    const idle = await worstLatency(server.url, new Promise((resolve) => setTimeout(resolve, 2000)));
    const attack = Promise.all(
      attacks.map((name) =>
        fetch(`${server.url}/xrpc/bench.app.hostile?attack=${name}`).then((r) => r.text()),
      ),
    );
    const beside = await worstLatency(server.url, attack);
    return [
      {
        name: "worst latency beside 4 hostile scripts",
        value: beside,
        unit: "ms",
        beside: "worst latency alone",
        calibration: idle,
      },
    ];
  } finally {
    await server.stop();
  }
}

async function worstLatency(url: string, until: Promise<unknown>): Promise<number> {
  let isOver = false;
  void until.finally(() => (isOver = true));
  let worst = 0;
  while (!isOver) {
    const start = performance.now();
    await (await fetch(`${url}/xrpc/bench.app.list?limit=1`)).arrayBuffer();
    worst = Math.max(worst, performance.now() - start);
  }
  return Math.round(worst * 10) / 10;
}
