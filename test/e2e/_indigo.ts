import { execFile, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, request, type IncomingMessage } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import Sqlite from "better-sqlite3";
import { freePort } from "../setup/port.ts";

/** The network's own programs, built once a machine: relay, collection directory and Tap of bluesky-social/indigo. */

const programs = ["relay", "collectiondir", "tap"] as const;
type Program = (typeof programs)[number];

const folder = join(tmpdir(), "happyview-indigo");

/** Builds what is missing, the first time for minutes; the reason where that is impossible, undefined where all is there. */
export async function buildIndigo(): Promise<string | undefined> {
  if (spawnSync("go", ["version"], { stdio: "ignore" }).status !== 0) return "there is no `go`";
  const missing = programs.filter((name) => !existsSync(join(folder, name)));
  if (missing.length === 0) return undefined;
  const packages = missing.map((name) => `github.com/bluesky-social/indigo/cmd/${name}@latest`);
  const env = { ...process.env, GOBIN: folder };
  try {
    await promisify(execFile)("go", ["install", ...packages], { cwd: tmpdir(), env });
    return undefined;
  } catch (error) {
    const why = /dial tcp|lookup |timeout|connection refused|reading https?:.*: [45]\d\d /.exec(
      String(error),
    );
    if (why) return `the modules of indigo cannot be had: ${why[0].trim()}`;
    throw error;
  }
}

export interface Running {
  url: string;
  stop(): Promise<void>;
}

const dataFolder = (program: Program): Promise<string> => mkdtemp(join(tmpdir(), `happyview-${program}-`));

/**
 * A relay on one PDS. It accepts no private addresses by its API, so the host is written into its database, of which
 * the program makes the tables when it starts for the first time.
 */
export async function startRelay(pdsUrl: string, plcUrl: string): Promise<Running> {
  const data = await dataFolder("relay");
  const run = (): ReturnType<typeof start> =>
    start(
      "relay",
      ({ port, metricsPort }) => [
        ...flags({ "admin-password": "relay-password", "plc-host": plcUrl }),
        "serve",
        ...flags({
          bind: `127.0.0.1:${port}`,
          "metrics-listen": `127.0.0.1:${metricsPort}`,
          "db-url": `sqlite://${data}/relay.sqlite`,
          "persist-dir": `${data}/persist`,
        }),
      ],
      data,
    );
  await (await run()).end();
  const db = new Sqlite(join(data, "relay.sqlite"));
  db.prepare(
    "INSERT INTO host (hostname, no_ssl, account_limit, trusted, status, last_seq) VALUES (?, 1, 1000, 1, 'active', 0)",
  ).run(new URL(pdsUrl).host);
  db.close();
  return run();
}

/** Starts a program on a free port and waits until it answers; `stop` removes its data, too. */
export async function start(
  program: Program,
  args: (at: { port: number; metricsPort: number; data: string }) => string[],
  given?: string,
): Promise<Running & { end(): Promise<void> }> {
  const data = given ?? (await dataFolder(program));
  const [port, metricsPort] = [await freePort(), await freePort()];
  const child: ChildProcess = spawn(join(folder, program), args({ port, metricsPort, data }), {
    cwd: data,
    env: { PATH: process.env["PATH"], HOME: data },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-20_000)));
  const exited = once(child, "exit");
  const url = `http://127.0.0.1:${port}`;
  const end = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    const kill = setTimeout(() => child.kill("SIGKILL"), 5000);
    await exited;
    clearTimeout(kill);
  };
  const stop = async (): Promise<void> => {
    await end();
    await rm(data, { recursive: true, force: true });
  };
  while (!(await answers(url))) {
    if (child.exitCode !== null) throw new Error(`${program} did not start:\n${said}`);
    await sleep(50);
  }
  return { url, stop, end };
}

/** `--name value` for each. */
export function flags(values: Record<string, string>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [`--${name}`, value]);
}

/** One address for a relay and its collection directory, as a relay is deployed. */
export async function startFront(relay: string, directory: string): Promise<Running> {
  const targetOf = ({ url = "/" }: IncomingMessage): URL =>
    new URL(url, url.startsWith("/xrpc/com.atproto.sync.listReposByCollection") ? directory : relay);
  const server = createServer((incoming, outgoing) => {
    const { method, headers } = incoming;
    const forwarded = request(targetOf(incoming), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    forwarded.on("error", () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  server.on("upgrade", (incoming, socket, head) => {
    const { hostname, port } = targetOf(incoming);
    const upstream = connect(Number(port), hostname, () => {
      const lines = incoming.rawHeaders.flatMap((name, i, all) => (i % 2 ? [] : [`${name}: ${all[i + 1]}`]));
      upstream.write(`GET ${incoming.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
      upstream.write(head);
      socket.pipe(upstream).pipe(socket);
    });
    for (const end of [socket, upstream]) end.on("error", () => (socket.destroy(), upstream.destroy()));
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address() as AddressInfo; // a listening TCP server has a port
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    async (response) => (await response.body?.cancel(), true),
    () => false,
  );
}
