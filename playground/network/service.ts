import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { FaultRule, Faults, ServiceName } from "./faults.ts";
import { XrpcError } from "./xrpc-error.ts";

export interface ServiceRequest {
  verb: string;
  path: string;
  /** NSID, or the last part of a path that is no XRPC. */
  method: string;
  params: URLSearchParams;
  header(name: string): string | undefined;
  json(): Promise<Record<string, unknown>>;
}

export interface Reply {
  status?: number;
  headers?: Record<string, string>;
  body: string | Uint8Array;
}

export interface ServiceOptions {
  name: ServiceName;
  host?: number;
  /** @default a free one */
  port?: number;
  faults: Faults;
  answer(request: ServiceRequest): Reply | Promise<Reply>;
  /** Takes over a WebSocket upgrade, or says with which reply it is refused. */
  upgrade?(request: UpgradeRequest, rule: FaultRule | undefined): Reply | undefined;
}

export interface UpgradeRequest extends ServiceRequest {
  incoming: IncomingMessage;
  socket: Duplex;
  head: Buffer;
}

export interface Service {
  url: string;
  close(): Promise<void>;
}

const maxBodyBytes = 1_000_000;

/** One HTTP server on this machine; every request passes the fault rules first. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const server = createServer((incoming, response) => void serve(options, incoming, response));
  server.on("upgrade", (incoming, socket, head) => void upgrade(options, incoming, socket, head));
  const connections = new Set<Socket>();
  server.on("connection", (connection) => {
    connections.add(connection);
    connection.once("close", () => connections.delete(connection));
  });
  await listen(server, options.port ?? 0);
  // A TCP server always has an AddressInfo once it listens.
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => closeServer(server, connections) };
}

export function jsonReply(body: unknown, status = 200): Reply {
  return { status, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

async function serve(
  options: ServiceOptions,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const request = toServiceRequest(incoming);
  const rule = takeRule(options, request, false);
  if (rule) await sleep(options.faults.latencyOf(rule));
  const truth = replyOf(rule) ?? (await answerSafely(options, request));
  const reply = (await rule?.lie?.(truth, request)) ?? truth;
  const body = Buffer.from(reply.body);
  const at = rule?.damageAt ?? body.length;
  if (at < body.length) body[at] = 255 - (body[at] ?? 0);
  response.writeHead(reply.status ?? 200, { ...reply.headers, "content-length": body.length });
  const { truncateAfter, stallAfter } = rule ?? {};
  if (truncateAfter !== undefined) response.write(body.subarray(0, truncateAfter), () => response.destroy());
  else if (stallAfter === undefined) response.end(body);
  else response.write(body.subarray(0, stallAfter));
}

async function upgrade(
  options: ServiceOptions,
  incoming: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  socket.on("error", () => socket.destroy());
  const request = toServiceRequest(incoming);
  const rule = takeRule(options, request, true);
  if (rule) await sleep(options.faults.latencyOf(rule));
  const noSocket = new XrpcError(404, "MethodNotImplemented", "this service has no socket");
  const upgraded = { ...request, incoming, socket, head };
  const refusal =
    replyOf(rule) ?? (options.upgrade ? options.upgrade(upgraded, rule) : toErrorReply(noSocket));
  if (refusal) refuse(socket, refusal);
}

function toServiceRequest(incoming: IncomingMessage): ServiceRequest {
  const { pathname, searchParams } = new URL(incoming.url ?? "/", "http://127.0.0.1");
  return {
    verb: incoming.method ?? "GET",
    path: pathname,
    method: pathname.split("/").at(-1) ?? "",
    params: searchParams,
    header: (name) => {
      const value = incoming.headers[name];
      return Array.isArray(value) ? value[0] : value;
    },
    json: () => readJson(incoming),
  };
}

function takeRule(
  { faults, name, host = 0 }: ServiceOptions,
  request: ServiceRequest,
  isSocket: boolean,
): FaultRule | undefined {
  const did =
    name === "plc"
      ? decodeURIComponent(request.method)
      : (request.params.get("did") ?? request.params.get("repo"));
  return faults.take({
    service: name,
    host,
    method: name === "plc" ? "did" : request.method,
    did: did ?? "",
    collection: request.params.get("collection") ?? "",
    params: request.params,
    isSocket,
  });
}

function replyOf(rule: FaultRule | undefined): Reply | undefined {
  if (rule?.redirect !== undefined) {
    return { status: 302, headers: { ...rule.headers, location: rule.redirect }, body: "" };
  }
  if (rule?.status !== undefined) {
    const error =
      rule.status === 429
        ? "RateLimitExceeded"
        : rule.status < 500
          ? "InvalidRequest"
          : "InternalServerError";
    const reply = jsonReply({ error, message: "fault injected by the simulator" }, rule.status);
    return { ...reply, headers: { ...reply.headers, ...rule.headers } };
  }
  if (rule?.wrongJson)
    return { headers: { "content-type": "application/json" }, body: '{"unexpected":[{"shape"' };
  return undefined;
}

async function answerSafely(options: ServiceOptions, request: ServiceRequest): Promise<Reply> {
  try {
    return await options.answer(request);
  } catch (error) {
    return toErrorReply(error);
  }
}

function toErrorReply(error: unknown): Reply {
  if (error instanceof XrpcError)
    return jsonReply({ error: error.error, message: error.message }, error.status);
  return jsonReply({ error: "InternalServerError", message: String(error) }, 500);
}

function refuse(socket: Duplex, reply: Reply): void {
  const body = Buffer.from(reply.body);
  const headers = { ...reply.headers, connection: "close", "content-length": String(body.length) };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(
    Buffer.concat([Buffer.from(`HTTP/1.1 ${reply.status ?? 400} Refused\r\n${lines.join("")}\r\n`), body]),
  );
}

async function readJson(incoming: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > maxBodyBytes)
      throw new XrpcError(413, "PayloadTooLarge", `body is over ${maxBodyBytes} bytes`);
    chunks.push(bytes);
  }
  try {
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString());
    if (body !== null && typeof body === "object" && !Array.isArray(body)) return { ...body };
  } catch (cause) {
    throw new XrpcError(400, "InvalidRequest", "body is not JSON", { cause });
  }
  throw new XrpcError(400, "InvalidRequest", "body is not a JSON object");
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => reject(new Error(`[network] cannot listen on port ${port}`, { cause })));
    server.listen(port, "127.0.0.1", resolve);
  });
}

/** Upgraded connections are no longer HTTP's own, and would hold the server open. */
async function closeServer(server: Server, connections: Set<Socket>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const connection of connections) connection.destroy();
  await closed;
}
