import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { JobView } from "../plugins/backfill/job.ts";
import { prepare, rawInserts } from "./ingest.ts";
import type { Figure } from "./main.ts";
import { startServer } from "./servers.ts";

export interface BackfillBenchOptions {
  /** The built server of bench/project. */
  entry: string;
  root: string;
  folder: string;
}

const repos = 2000;
const records = 50;
const hosts = 20;
const latencyMs = 20;
/** The default settings: 10 hosts, 3 requests each. */
const inFlight = 30;

/**
 * A backfill over many slow hosts, beside the larger of two bounds: what the latency alone takes under the configured
 * limits, and raw batched inserts of the same number of rows.
 */
export async function backfill(options: BackfillBenchOptions): Promise<Figure[]> {
  const total = repos * records;
  const latency = (repos * latencyMs) / inFlight / 1000;
  const inserts = total / (await rawInserts(options, total));
  const bound = Math.max(latency, inserts);
  const beside = bound === latency ? "the latency alone" : "raw batched inserts";
  const figures: Figure[] = [];
  for (const [name, share] of [
    ["backfill of 2,000 repos on 20 hosts", 0],
    ["the same, 5% of answers 429 or 503", 0.05],
  ] as const) {
    const { seconds, job } = await run(options, share);
    if (job.total_records !== total || job.complete !== true)
      throw new Error(`the backfill is not complete: ${JSON.stringify(job)}`);
    figures.push({
      name,
      value: Math.round(total / seconds),
      unit: "records/s",
      beside,
      calibration: Math.round(total / bound),
      ...(share === 0 ? { target: 1 / 2.5 } : {}),
    });
  }
  return figures;
}

async function run(
  { entry, root, folder }: BackfillBenchOptions,
  share: number,
): Promise<{ seconds: number; job: JobView }> {
  const file = await prepare(root, `${folder}/backfill-${share}.db`);
  const network = await startHosts(share);
  const key = `hv_${"0".repeat(32)}`;
  const server = await startServer(
    [entry],
    {
      DATABASE_URL: `file:${file}`,
      JETSTREAM_URL: "ws://127.0.0.1:9",
      PLC_URL: network.url,
      RELAY_URL: network.url,
      HAPPYVIEW_ADMIN_KEY: key,
      PUBLIC_URL: "http://127.0.0.1",
    },
    "/health",
  );
  const ask = async (path: string, body?: unknown): Promise<unknown> => {
    const response = await fetch(`${server.url}/admin/backfill${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return response.json();
  };
  try {
    const start = performance.now();
    const { id } = (await ask("", { collection: "bench.app.post" })) as { id: string };
    for (;;) {
      const job = (await ask(`/${id}`)) as JobView;
      if (job.status !== "running") return { seconds: (performance.now() - start) / 1000, job };
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } finally {
    await server.stop();
    network.stop();
  }
}

async function startHosts(share: number): Promise<{ url: string; stop(): void }> {
  const program = fileURLToPath(new URL("calibration/hosts.ts", import.meta.url));
  const args = [program, ...[repos, records, hosts, latencyMs, share].map(String)];
  const child = spawn(process.execPath, ["--conditions=happyview-source", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  const { url } = JSON.parse(line) as { url: string };
  return { url, stop: () => void child.kill("SIGTERM") };
}
