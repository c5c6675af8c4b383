import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { startDev } from "../core/cli/dev.ts";
import { createLogger } from "../core/log.ts";
import { closeOnSignal } from "../core/server/node.ts";
import { createNetwork } from "./network/network.ts";
import { startStatusphere } from "./network/statusphere.ts";

const help = `The local atmosphere with accounts that keep posting, and the AppView of this repository beside it.

  npm run playground -- [--accounts 5] [--rate 2] [--port 3000] [--seed 1] [--json]

  --accounts  how many accounts there are
  --rate      records written a second, by all of them
  --port      where the AppView listens
  --seed      the same seed makes the same accounts and records
`;

const { values } = parseArgs({
  options: {
    accounts: { type: "string", default: "5" },
    rate: { type: "string", default: "2" },
    port: { type: "string", default: "3000" },
    seed: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (values.help) process.stdout.write(help);
else await playground();

async function playground(): Promise<void> {
  const network = await createNetwork({ seed: Number(values.seed), now: Date.now });
  const people = await startStatusphere(network, {
    accounts: Number(values.accounts),
    rate: Number(values.rate),
  });
  const dev = await startDev({
    root: fileURLToPath(new URL("..", import.meta.url)),
    log: createLogger({ level: "warn" }),
    env: {
      ...process.env,
      PORT: values.port,
      HOST: "127.0.0.1",
      DATABASE_URL: process.env["DATABASE_URL"] ?? ":memory:",
      JETSTREAM_URL: network.jetstreamUrl,
      RELAY_URL: network.relayUrl,
      PLC_URL: network.plcUrl,
    },
  });
  const account = people.accounts[0];
  const pds = network.pds[0];
  if (!account || !pds) throw new Error("the playground needs at least one account: --accounts 1");
  const urls = {
    records: `${dev.url}/xrpc/xyz.statusphere.listStatuses?limit=5`,
    counts: `${dev.url}/xrpc/xyz.statusphere.countByEmoji`,
    health: `${dev.url}/health/ready`,
    metrics: `${dev.url}/metrics`,
  };
  const write = writeCommand(pds.url, account.did);
  process.stdout.write(
    values.json
      ? `${JSON.stringify({ ...urls, write, pds: pds.url, jetstream: network.jetstreamUrl })}\n`
      : guide(urls, write),
  );
  closeOnSignal(async () => {
    await people.stop();
    await dev.close();
    await network.close();
  });
}

function writeCommand(pds: string, did: string): string {
  const body = {
    repo: did,
    collection: "xyz.statusphere.status",
    record: { $type: "xyz.statusphere.status", status: "🦋", createdAt: new Date().toISOString() },
  };
  return `curl -s -X POST ${pds}/xrpc/com.atproto.repo.createRecord -H 'Authorization: Bearer ${did}' -H 'Content-Type: application/json' -d '${JSON.stringify(body)}'`;
}

function guide(urls: Record<string, string>, write: string): string {
  return `
  ${values.accounts} accounts post ${values.rate} statuses a second on a network of this machine alone.

  live records   ${urls["records"]}
  by a script    ${urls["counts"]}
  health         ${urls["health"]}
  metrics        ${urls["metrics"]}

  write a record yourself, then look at the live records again:

  ${write}

  Edit lexicons/ or scripts/ and look again: changes apply as you save. Ctrl+C stops.
`;
}
