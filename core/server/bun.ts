import { toResponse } from "../http/reply.ts";
import type { HttpRequest } from "../http/request.ts";
import { readBody, type Handles } from "./node.ts";

interface BunServer {
  url: URL;
  requestIP(request: Request): { address: string } | null;
  stop(closeActive?: boolean): Promise<void>;
}

/** The part of Bun's API that we use. */
declare const Bun: {
  serve(options: {
    hostname: string;
    port: number;
    maxRequestBodySize: number;
    idleTimeout: number;
    fetch(request: Request, server: BunServer): Promise<Response>;
  }): BunServer;
};

/** Listens on a port in Bun; 0 takes a free one. */
export function serveBun(
  app: Handles,
  { host, port }: { host: string; port: number },
): Pick<BunServer, "url" | "stop"> {
  return Bun.serve({
    hostname: host,
    port,
    // Beyond our own limits, of which that of blobs (50 MiB) is the largest, so that the answer is ours.
    maxRequestBodySize: 64 * 1024 * 1024,
    // A connection counts as idle while a PDS takes a blob, for which it has two minutes.
    idleTimeout: 150,
    fetch: async (request, server) => toResponse(await app.handle(toRequest(request, server))),
  });
}

/** A web Request says neither where it comes from nor how much of a body may be read. */
function toRequest(request: Request, server: BunServer): HttpRequest {
  return {
    method: request.method,
    url: request.url,
    headers: request.headers,
    signal: request.signal,
    remoteAddress: server.requestIP(request)?.address,
    arrayBuffer: (maxBytes) => readBody(request.body ?? [], maxBytes),
  };
}
