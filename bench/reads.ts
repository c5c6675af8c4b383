import { buildBareNitro } from "./calibration/nitro.ts";
import { load } from "./load.ts";
import type { Figure } from "./main.ts";
import { oneUri } from "./seed.ts";
import { startServer } from "./servers.ts";

export interface ReadsOptions {
  /** The built server of bench/project. */
  entry: string;
  databaseFile: string;
  seconds: number;
}

/** XRPC reads beside a bare Nitro route that returns the same rows, and beside the barest server of the runtime. */
export async function reads({ entry, databaseFile, seconds }: ReadsOptions): Promise<Figure[]> {
  const uri = encodeURIComponent(oneUri);
  const hello = await measure(
    [new URL("calibration/hello.ts", import.meta.url).pathname],
    {},
    ["/"],
    seconds,
  );
  const bare = await measure(
    [await buildBareNitro()],
    { BENCH_DB: databaseFile },
    ["/list", `/get?uri=${uri}`],
    seconds,
  );
  const paths = ["/xrpc/bench.app.list", `/xrpc/bench.app.list?uri=${uri}`, "/xrpc/bench.app.scripted"];
  const ours = await measure(
    [entry],
    { DATABASE_URL: `file:${databaseFile}`, JETSTREAM_URL: "ws://127.0.0.1:9" },
    paths,
    seconds,
  );
  const [list = 0, get = 0, scripted = 0] = ours;
  const [bareList = 0, bareGet = 0] = bare;
  return [
    { name: "bare node:http hello", value: hello[0] ?? 0, unit: "req/s" },
    {
      name: "list of 20",
      value: list,
      unit: "req/s",
      beside: "bare Nitro route",
      calibration: bareList,
      target: 0.5,
    },
    {
      name: "one record",
      value: get,
      unit: "req/s",
      beside: "bare Nitro route",
      calibration: bareGet,
      target: 0.6,
    },
    {
      name: "scripted list of 20",
      value: scripted,
      unit: "req/s",
      beside: "unscripted list",
      calibration: list,
      target: 0.5,
    },
  ];
}

async function measure(
  args: string[],
  env: Record<string, string>,
  paths: string[],
  seconds: number,
): Promise<number[]> {
  const server = await startServer(args, env, paths[0]);
  try {
    const figures: number[] = [];
    for (const path of paths) figures.push((await load(server.url + path, seconds)).perSecond);
    return figures;
  } finally {
    await server.stop();
  }
}
