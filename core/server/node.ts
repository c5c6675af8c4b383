import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream as NodeStream } from "node:stream/web";
import { HappyViewError, Rejection } from "../errors.ts";
import type { Reply } from "../http/reply.ts";
import { maxBodyBytes, type HttpRequest } from "../http/request.ts";

export interface Handles {
  handle(request: HttpRequest): Promise<Reply>;
}

export interface Served {
  /** Where it listens, by loopback name. */
  url: string;
  /** Stops accepting, lets open requests finish for `graceMs`, then cuts them. @default 5000 */
  close(graceMs?: number): Promise<void>;
}

/** Answers Node's requests without building web objects: their construction costs more than a small query. */
export function toNodeHandler(app: Handles): RequestListener {
  return (incoming, outgoing) => {
    app
      .handle(toRequest(incoming))
      .then((reply) => write(outgoing, reply))
      .catch(() => outgoing.destroy());
  };
}

/** Listens on a port; 0 takes a free one. */
export async function serve(app: Handles, { host, port }: { host: string; port: number }): Promise<Served> {
  const server = createServer(toNodeHandler(app));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => reject(cannotListen(host, port, cause)));
    server.listen(port, host, resolve);
  });
  const address = server.address();
  const actual = typeof address === "object" && address !== null ? address.port : port;
  const name = host === "0.0.0.0" || host === "::" ? "localhost" : host;
  return {
    url: `http://${name.includes(":") ? `[${name}]` : name}:${actual}`,
    async close(graceMs = 5000) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // A connection that becomes idle after close() would wait out its keep-alive.
      const sweep = setInterval(() => server.closeIdleConnections(), 50);
      const cut = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearInterval(sweep);
      clearTimeout(cut);
    },
  };
}

/** Runs `close` at SIGTERM or SIGINT and exits 0; with 1 when it fails, takes too long, or is asked twice. */
export function closeOnSignal(close: () => Promise<void>, deadlineMs = 10_000): void {
  let closing = false;
  const stop = (): void => {
    if (closing) process.exit(1);
    closing = true;
    setTimeout(() => process.exit(1), deadlineMs).unref();
    close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}

function toRequest(incoming: IncomingMessage): HttpRequest {
  return {
    method: incoming.method ?? "GET",
    url: incoming.url ?? "/",
    remoteAddress: incoming.socket.remoteAddress,
    headers: {
      get(name) {
        const value = incoming.headers[name.toLowerCase()];
        return value === undefined ? null : Array.isArray(value) ? value.join(", ") : value;
      },
    },
    arrayBuffer: (maxBytes) => readBody(incoming, maxBytes),
  };
}

/** Reads a body up to a limit. @throws Rejection 413 */
export async function readBody(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  maxBytes: number = maxBodyBytes,
): Promise<ArrayBuffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes) throw new Rejection(413, "length limit exceeded");
    chunks.push(chunk);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole.buffer;
}

async function write(outgoing: ServerResponse, { status, headers, body }: Reply): Promise<void> {
  if (body === null) {
    outgoing.writeHead(status, status === 204 ? headers : { ...headers, "content-length": 0 }).end();
  } else if (body instanceof ReadableStream) {
    outgoing.writeHead(status, headers);
    // The types of the web and of Node's stream/web are the same streams under two names.
    await pipeline(Readable.fromWeb(body as NodeStream), outgoing);
  } else {
    outgoing.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) }).end(body);
  }
}

function cannotListen(host: string, port: number, cause: NodeJS.ErrnoException): HappyViewError {
  const inUse = cause.code === "EADDRINUSE";
  return new HappyViewError("SERVER_LISTEN", {
    message: `cannot listen on ${host}:${port}: ${inUse ? "the port is in use" : cause.message}`,
    hint: inUse ? "stop the other program, or set PORT to another port" : "check HOST and PORT",
    cause,
  });
}
