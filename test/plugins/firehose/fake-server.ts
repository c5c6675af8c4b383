import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";

export interface FakeConnection {
  url: URL;
  socket: WebSocket;
}

export interface FakeServer {
  url: string;
  connections: FakeConnection[];
  /** Events replayed to a connection with a cursor and sent to all that are open. */
  push(...events: { time_us: number; [field: string]: unknown }[]): void;
  /** Any frame, to all that are open. */
  raw(frame: string | Uint8Array): void;
  /** Breaks all connections without a close frame. */
  cut(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface FakeOptions {
  onConnect?: (connection: FakeConnection, index: number) => void;
  onRequest?: (request: IncomingMessage, response: ServerResponse) => void;
  /** Answers nothing, not even a ping. */
  silent?: boolean;
  /** Answers every upgrade with 400 and this text. */
  refuse?: string;
  /** Answers an upgrade with 400 while this is true. */
  refuseWhen?: () => boolean;
}

/** The least that speaks like a Jetstream: it replays what is later than the cursor and knows no filter. */
export async function fakeServer(options: FakeOptions = {}): Promise<FakeServer> {
  const http = createServer((request, response) => {
    if (options.onRequest) options.onRequest(request, response);
    else response.writeHead(404).end();
  });
  const { silent = false, refuse, refuseWhen } = options;
  const sockets = new WebSocketServer({
    server: http,
    autoPong: !silent,
    verifyClient: (_info, answer) => answer(refuse === undefined && !refuseWhen?.(), 400, refuse),
  });
  const connections: FakeConnection[] = [];
  const events: { time_us: number }[] = [];
  sockets.on("connection", (socket, request) => {
    const connection = { socket, url: new URL(request.url ?? "/", "ws://fake") };
    connections.push(connection);
    const cursor = connection.url.searchParams.get("cursor");
    for (const event of events)
      if (cursor !== null && event.time_us > Number(cursor)) socket.send(JSON.stringify(event));
    options.onConnect?.(connection, connections.length - 1);
  });
  await new Promise<void>((ready) => http.listen(0, "127.0.0.1", ready));
  const { port } = http.address() as AddressInfo; // a listening TCP server has a port
  const raw = (frame: string | Uint8Array): void => {
    for (const socket of sockets.clients) socket.send(frame);
  };
  const cut = (): void => {
    for (const socket of sockets.clients) socket.terminate();
  };
  return {
    url: `ws://127.0.0.1:${port}`,
    connections,
    raw,
    cut,
    push(...added) {
      events.push(...added);
      for (const event of added) raw(JSON.stringify(event));
    },
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((done) => sockets.close(done));
      await new Promise((done) => http.close(done));
    },
  };
}
