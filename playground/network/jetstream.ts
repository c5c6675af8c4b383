import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { JetstreamEvent } from "./event.ts";
import type { FaultRule, Faults } from "./faults.ts";
import { type JetstreamEntry, toEntry, zstdOf } from "./jetstream-log.ts";
import type { Prng } from "./prng.ts";
import { type Reply, type ServiceRequest, startService, type UpgradeRequest } from "./service.ts";
import { createSender } from "./socket-sender.ts";
import { follow, StreamLog } from "./stream.ts";
import {
  createSubscription,
  optionsFromParams,
  optionsFromPayload,
  type Subscription,
} from "./subscription.ts";

export interface Jetstream {
  /** `ws://…`; clients append `/subscribe`. */
  url: string;
  /** Cursors older than this before the newest event are silently raised to it. @default 36 hours */
  lookBackMs: number;
  /** Answer `compress=true` with zstd frames, made without the real server's dictionary. @default false */
  zstd: boolean;
  /** Open sockets. */
  readonly clients: number;
  /** `time_us` of the newest event, 0 before the first. */
  readonly timeUs: number;
  /** Sends an event as it is; a line need not even be JSON. */
  publish(event: JetstreamEvent | string): void;
  /** Publishes prepared lines, letting the sockets work in between; the result is their number. */
  load(lines: Iterable<string> | AsyncIterable<string>): Promise<number>;
  /** Cuts every socket at once, without a close frame. */
  disconnect(): void;
  close(): Promise<void>;
}

export interface JetstreamOptions {
  faults: Faults;
  prng: Prng;
  /** Events kept for replay. @default 2 million */
  logLimit?: number;
  port?: number;
}

const linesPerTurn = 1000;

export async function startJetstream({
  logLimit = 2_000_000,
  ...options
}: JetstreamOptions): Promise<Jetstream> {
  const sockets = new WebSocketServer({
    noServer: true,
    autoPong: false,
    perMessageDeflate: false,
    maxPayload: 10_000_000,
  });
  const log = new StreamLog<JetstreamEntry>(logLimit);
  const service = await startService({
    ...options,
    name: "jetstream",
    answer: (request) => inspect(request) ?? textReply(426, "websocket upgrade required"),
    upgrade: (request, rule) => subscribe(request, rule),
  });
  const newestTime = (): number => log.at(log.end - 1)?.timeUs ?? 0;

  function subscribe(request: UpgradeRequest, rule: FaultRule | undefined): Reply | undefined {
    const refusal = inspect(request);
    if (refusal) return refusal;
    sockets.handleUpgrade(request.incoming, request.socket, request.head, (ws) => {
      const { params, socket } = request;
      serveClient(ws, params, {
        socket,
        rule,
        log,
        prng: options.prng,
        position: positionOf(params),
        jetstream,
      });
    });
    return undefined;
  }

  /** Where a cursor points to; undefined for the live tip. */
  function positionOf(params: URLSearchParams): number | undefined {
    if (!params.get("cursor")) return undefined;
    const from = Math.max(Number(params.get("cursor")), newestTime() - jetstream.lookBackMs * 1000);
    return log.find(({ timeUs }) => timeUs >= from);
  }

  const jetstream: Jetstream = {
    url: service.url.replace("http:", "ws:"),
    lookBackMs: 36 * 3_600_000,
    zstd: false,
    get clients() {
      return sockets.clients.size;
    },
    get timeUs() {
      return newestTime();
    },
    publish: (event) => log.push(toEntry(event, newestTime)),
    async load(lines) {
      let count = 0;
      let batch: JetstreamEntry[] = [];
      for await (const line of lines) {
        batch.push(toEntry(line, newestTime));
        count++;
        if (batch.length < linesPerTurn) continue;
        log.push(...batch);
        batch = [];
        await new Promise((resolve) => setImmediate(resolve));
      }
      log.push(...batch);
      return count;
    },
    disconnect: () => sockets.clients.forEach((ws) => ws.terminate()),
    close: service.close,
  };
  return jetstream;
}

/** The reply that refuses this request, or undefined for one that may connect. */
function inspect({ path, params }: ServiceRequest): Reply | undefined {
  if (path !== "/subscribe") return textReply(404, "not found");
  const cursor = params.get("cursor");
  if (cursor && !/^\d{1,16}$/.test(cursor)) return textReply(400, `subscribe: invalid cursor: ${cursor}`);
  try {
    createSubscription(optionsFromParams(params));
    return undefined;
  } catch (error) {
    return textReply(400, `subscribe: invalid options: ${messageOf(error)}`);
  }
}

interface Client {
  socket: Duplex;
  rule: FaultRule | undefined;
  log: StreamLog<JetstreamEntry>;
  prng: Prng;
  position: number | undefined;
  jetstream: Jetstream;
}

function serveClient(ws: WebSocket, params: URLSearchParams, client: Client): void {
  const { socket, rule, log, prng, position, jetstream } = client;
  let wants: Subscription = createSubscription(optionsFromParams(params));
  let isStarted = false;
  const isCompressed = jetstream.zstd && params.get("compress") === "true";
  const send = createSender(ws, rule, prng);
  const start = (): void => {
    if (isStarted) return;
    isStarted = true;
    follow({
      ws,
      socket,
      log,
      from: position ?? log.end,
      send,
      toFrame(entry) {
        if (!wants(entry)) return undefined;
        return { did: entry.did, data: isCompressed ? zstdOf(entry) : entry.data, binary: isCompressed };
      },
    });
  };
  ws.on("error", () => ws.terminate());
  ws.on("message", (message, isBinary) => {
    const updated = isBinary ? undefined : readUpdate(ws, message.toString());
    if (!updated) return;
    wants = updated;
    start();
  });
  if (params.get("requireHello") !== "true") start();
}

/** The subscription an `options_update` asks for; closes the socket when the message is wrong. */
function readUpdate(ws: WebSocket, message: string): Subscription | undefined {
  const close = (code: number, reason: string): undefined => void ws.close(code, reason.slice(0, 120));
  let envelope: { type?: unknown; payload?: unknown };
  try {
    envelope = { ...JSON.parse(message) };
  } catch {
    return close(1007, "bad SubscriberSourcedMessage envelope");
  }
  if (envelope.type !== "options_update") return undefined;
  let options: Parameters<typeof createSubscription>[0];
  try {
    options = optionsFromPayload(envelope.payload);
  } catch {
    return close(1007, "bad options_update payload");
  }
  try {
    return createSubscription(options);
  } catch (error) {
    return close(1008, `subscribe: invalid options: ${messageOf(error)}`);
  }
}

function textReply(status: number, body: string): Reply {
  return { status, headers: { "content-type": "text/plain; charset=utf-8" }, body };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
