import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { JobView } from "../plugins/backfill/job.ts";
import type { Databases } from "./databases.ts";
import type { Figure } from "./main.ts";
import { memoryFigure } from "./memory.ts";
import { prepare } from "./app.ts";
import { rawInserts } from "./raw-inserts.ts";
import { startServer, type Server } from "./servers.ts";

export interface BackfillBenchOptions {
  /** The built server of bench/project. */
  entry: string;
  root: string;
  databases: Databases;
}

/** What the hosts of a network hold, and how they answer. */
interface Hosts {
  repos: number;
  records: number;
  hosts: number;
  latencyMs: number;
  /** Of the answers, 429 or 503. */
  refused: number;
}

const network: Hosts = { repos: 2000, records: 50, hosts: 20, latencyMs: 20, refused: 0 };
/** The default settings: 10 hosts, 3 requests each. */
const inFlight = 30;

/**
 * A backfill over many slow hosts, beside the larger of two bounds: what the latency alone takes under the configured
 * limits, and raw batched inserts of the same number of rows.
 */
export async function backfill(options: BackfillBenchOptions): Promise<Figure[]> {
  const { repos, records, latencyMs } = network;
  const total = repos * records;
  const latency = (repos * latencyMs) / inFlight / 1000;
  const inserts = total / (await rawInserts(options, total));
  const bound = Math.max(latency, inserts);
  const beside = bound === latency ? "the latency alone" : "raw batched inserts";
  const figures: Figure[] = [];
  for (const [name, refused] of [
    ["backfill of 2,000 repos on 20 hosts", 0],
    ["the same, 5% of answers 429 or 503", 0.05],
  ] as const) {
    const { seconds } = await run(options, { ...network, refused });
    figures.push({
      name,
      value: Math.round(total / seconds),
      unit: "records/s",
      beside,
      calibration: Math.round(total / bound),
      ...(refused === 0 ? { target: 1 / 2.5 } : {}),
    });
  }
  return figures;
}

/** The most memory of the server in the last quarter of a large job, beside that of the second. */
export async function backfillMemory(options: BackfillBenchOptions, repos: number): Promise<Figure[]> {
  const most = [0, 0, 0, 0];
  await run(options, { ...network, repos, records: 2, latencyMs: 1 }, (server, { processed_repos: done }) => {
    const quarter = Math.min(3, Math.floor((4 * (done ?? 0)) / repos));
    most[quarter] = Math.max(most[quarter] ?? 0, server.mebibytes());
  });
  const [, early = 0, , late = 0] = most;
  return [memoryFigure(`memory over a job of ${repos} repos`, { early, late })];
}

async function run(
  { entry, root, databases }: BackfillBenchOptions,
  of: Hosts,
  watch: (server: Server, job: JobView) => void = () => {},
): Promise<{ seconds: number }> {
  const url = await databases.create(`backfill_${of.repos}_${of.refused * 100}`);
  await prepare(root, url);
  const hosts = await startHosts(of);
  const key = `hv_${"0".repeat(32)}`;
  const server = await startServer(
    [entry],
    {
      DATABASE_URL: url,
      JETSTREAM_URL: "ws://127.0.0.1:9",
      PLC_URL: hosts.url,
      RELAY_URL: hosts.url,
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
      watch(server, job);
      if (job.status !== "running") {
        if (job.total_records !== of.repos * of.records || job.complete !== true)
          throw new Error(`the backfill is not complete: ${JSON.stringify(job)}`);
        return { seconds: (performance.now() - start) / 1000 };
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } finally {
    await server.stop();
    hosts.stop();
  }
}

async function startHosts(of: Hosts): Promise<{ url: string; stop(): void }> {
  const program = fileURLToPath(new URL("calibration/hosts.ts", import.meta.url));
  const args = [program, ...[of.repos, of.records, of.hosts, of.latencyMs, of.refused].map(String)];
  const child = spawn(process.execPath, ["--conditions=happyview-source", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  const { url } = JSON.parse(line) as { url: string };
  return { url, stop: () => void child.kill("SIGTERM") };
}
