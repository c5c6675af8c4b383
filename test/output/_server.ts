import { spawn, type ChildProcess } from "node:child_process";
import http, { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import type { Network } from "../../playground/network/network.ts";
import { adminHeaders, adminKey } from "../setup/app.ts";

export type Runtime = "node" | "bun";

export const runtimes: Record<Runtime, string> = {
  node: process.execPath,
  bun: fileURLToPath(new URL("../../node_modules/.bin/bun", import.meta.url)),
};

export interface BuiltServer {
  request(path: string, init?: RequestInit): Promise<Response>;
  /** Its exit code after SIGTERM. */
  stop(): Promise<number | null>;
}

/** Starts a built output in an environment of its own, and waits until it answers. */
export async function startBuilt(
  runtime: Runtime,
  outDir: string,
  { databaseUrl, network }: { databaseUrl: string; network: Network },
): Promise<BuiltServer> {
  const port = await freePort();
  const child = spawn(runtimes[runtime], [`${outDir}/server/index.mjs`], {
    cwd: outDir,
    stdio: ["ignore", "inherit", "inherit"],
    env: {
      PATH: process.env["PATH"],
      NODE_ENV: "production",
      LOG_LEVEL: "error",
      HOST: "127.0.0.1",
      PORT: String(port),
      DATABASE_URL: databaseUrl,
      HAPPYVIEW_ADMIN_KEY: adminKey,
      JETSTREAM_URL: network.jetstreamUrl,
      RELAY_URL: network.relayUrl,
      PLC_URL: network.plcUrl,
    },
  });
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const request = (path: string, init: RequestInit = {}): Promise<Response> => send(port, path, init);
  await untilHealthy(request, child);
  return {
    request,
    stop() {
      child.kill("SIGTERM");
      return exited;
    },
  };
}

export { adminHeaders };

/** By node:http, since fetch does not let a test choose the Host. */
function send(port: number, path: string, init: RequestInit): Promise<Response> {
  const body = typeof init.body === "string" || init.body instanceof Uint8Array ? init.body : undefined;
  const headers = {
    host: "localhost",
    // node:http sends the body of a DELETE without saying how long it is.
    ...(body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) }),
    ...Object.fromEntries(new Headers(init.headers)),
  };
  return new Promise((resolve, reject) => {
    const request = http.request(
      { host: "127.0.0.1", port, path, method: init.method ?? "GET", headers },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("error", reject);
        answer.on("end", () => {
          const status = answer.statusCode ?? 500;
          const body = [204, 304].includes(status) ? null : Buffer.concat(chunks);
          resolve(new Response(body, { status, headers: flat(answer.headers) }));
        });
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

function flat(headers: http.IncomingHttpHeaders): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, [value].flat().join(", ")]],
  );
}

async function untilHealthy(request: BuiltServer["request"], child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    if (child.exitCode !== null) throw new Error(`the built server ended with exit code ${child.exitCode}`);
    const response = await request("/health").catch(() => undefined);
    if (response?.status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the built server does not become healthy");
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
