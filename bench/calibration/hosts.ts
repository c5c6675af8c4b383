import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createDid } from "../../playground/network/did.ts";
import { tidAt } from "../../playground/network/clock.ts";
import { createPrng } from "../../playground/network/prng.ts";
import { cidOfPlainRecord } from "../../playground/network/record.ts";

// A directory, a relay and PDS hosts whose answers are prepared: what is measured is the reader, not the network.
// Arguments: repos, records of each, hosts, latency in ms, share of refused answers.
const [repos = 2000, records = 50, hosts = 20, latencyMs = 20, share = 0] = process.argv.slice(2).map(Number);
const collection = "bench.app.post";
const prng = createPrng("bench/hosts");
const startUs = Date.UTC(2026, 0, 1) * 1000;

interface Repo {
  did: string;
  host: number;
  page: string;
  commit: string;
}

const known = new Map<string, Repo>();
for (let i = 0; i < repos; i++) {
  const did = createDid(prng);
  const list = Array.from({ length: records }, (_, k) => {
    const value = {
      $type: collection,
      text: `record ${k} of ${did}`,
      createdAt: "2026-01-01T00:00:00Z",
      n: k,
    };
    const uri = `at://${did}/${collection}/${tidAt(startUs + k, i % 1024)}`;
    return { uri, cid: cidOfPlainRecord(value), value };
  });
  const rev = tidAt(startUs + 1_000_000, i % 1024);
  known.set(did, {
    did,
    host: i % hosts,
    page: JSON.stringify({ records: list }),
    commit: JSON.stringify({ cid: list[0]?.cid, rev }),
  });
}
const dids = [...known.keys()];
const urls: string[] = [];
let requests = 0;

for (let host = 0; host < hosts; host++) urls.push(await listen((url) => ofHost(host, url)));
const network = await listen((url) => (url.pathname.startsWith("/xrpc/") ? ofRelay(url) : ofDirectory(url)));
process.stdout.write(`${JSON.stringify({ url: network })}\n`);
process.once("SIGTERM", () => process.exit(0));

function ofHost(host: number, url: URL): string | undefined {
  const repo = known.get(url.searchParams.get("did") ?? url.searchParams.get("repo") ?? "");
  if (repo?.host !== host) return undefined;
  return url.pathname.endsWith("getLatestCommit") ? repo.commit : repo.page;
}

function ofRelay(url: URL): string {
  const from = Number(url.searchParams.get("cursor") ?? 0);
  const page = dids.slice(from, from + 1000).map((did) => ({ did }));
  const next = from + page.length;
  return JSON.stringify({ repos: page, ...(next < dids.length ? { cursor: String(next) } : {}) });
}

function ofDirectory(url: URL): string | undefined {
  const repo = known.get(decodeURIComponent(url.pathname.slice(1)));
  if (!repo) return undefined;
  return JSON.stringify({
    id: repo.did,
    alsoKnownAs: [],
    service: [{ id: "#atproto_pds", type: "AtprotoPersonalDataServer", serviceEndpoint: urls[repo.host] }],
  });
}

async function listen(answer: (url: URL) => string | undefined): Promise<string> {
  const server: Server = createServer((request, response) => {
    requests += 1;
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    void sleep(latencyMs).then(() => {
      const isRefused = share > 0 && url.pathname.includes("com.atproto.repo") && prng.chance(share);
      if (isRefused)
        return response.writeHead(requests % 2 === 0 ? 429 : 503, { "retry-after": "0" }).end("{}");
      const body = answer(url);
      return response
        .writeHead(body === undefined ? 404 : 200, { "content-type": "application/json" })
        .end(body ?? "{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
