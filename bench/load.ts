import autocannon from "autocannon";

export interface Load {
  perSecond: number;
  p99Ms: number;
}

/** Asks for one URL from 16 connections for so many seconds, after a warm-up. Any answer but 200 is an error. */
export async function load(url: string, seconds: number): Promise<Load> {
  await autocannon({ url, workers: 1, connections: 16, duration: 1 });
  const result = await autocannon({ url, workers: 1, connections: 16, duration: seconds });
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${url}: ${result.non2xx} refusals, ${result.errors} errors`);
  return { perSecond: Math.round(result.requests.average), p99Ms: result.latency.p99 };
}
