import { type WebSocket, WebSocketServer } from "ws";
import type { JetstreamEvent } from "./event.ts";
import type { FaultRule, Faults } from "./faults.ts";
import type { Prng } from "./prng.ts";
import { jsonReply, type Reply, type ServiceRequest, startService, type UpgradeRequest } from "./service.ts";
import { createSender, type SocketSender } from "./socket-sender.ts";
import { TapOutbox } from "./tap-outbox.ts";

/** The sending side of a Tap: events that are repeated until their reader acknowledges them. */
export interface Tap {
  /** `http://…`, as its client takes it. */
  url: string;
  /** Open channels. */
  readonly clients: number;
  /** Events that are not acknowledged. */
  readonly pending: number;
  /** Sends an event; `live` ones of a repo come alone. @default live for records, as Tap does it */
  publish(event: JetstreamEvent, live?: boolean): void;
  /** Sends a message as it is, with an id of its own put in for `ID`. */
  publishText(did: string, text: string): void;
  /** DIDs that were asked for with `/repos/add`. */
  readonly repos: ReadonlySet<string>;
  /** Cuts every channel at once, without a close frame. */
  disconnect(): void;
  /** Dies before it has written down what was acknowledged, and begins again with all of it. */
  crash(): void;
  close(): Promise<void>;
}

export interface TapOptions {
  faults: Faults;
  prng: Prng;
  /** Of `admin`, asked for in every request. @default none */
  password?: string;
  /** What is not acknowledged for so long is sent again. @default 60_000 */
  retryMs?: number;
  port?: number;
}

/**
 * A Tap without what is behind it: `/channel` with acks, `/repos/add`, `/health`.
 * @example const tap = await startTap({ faults: network.faults, prng }); tap.publish(event);
 */
export async function startTap({ password, retryMs = 60_000, ...options }: TapOptions): Promise<Tap> {
  const sockets = new WebSocketServer({ noServer: true, autoPong: false, perMessageDeflate: false });
  const senders = new Map<WebSocket, SocketSender>();
  const repos = new Set<string>();
  const outbox = new TapOutbox(retryMs, (did, text) => {
    // Any of the channels will do.
    const [sender] = senders.values();
    sender?.({ did, data: Buffer.from(text), binary: false });
    return sender !== undefined;
  });

  const service = await startService({
    ...options,
    name: "tap",
    answer: (request) => refuse(request) ?? answer(request),
    upgrade: (request, rule) => refuse(request) ?? open(request, rule),
  });

  function refuse(request: ServiceRequest): Reply | undefined {
    const wanted = `Basic ${Buffer.from(`admin:${password}`).toString("base64")}`;
    if (password === undefined || request.header("authorization") === wanted) return undefined;
    return jsonReply({ error: "Unauthorized" }, 401);
  }

  async function answer(request: ServiceRequest): Promise<Reply> {
    if (request.path === "/health") return jsonReply({ status: "ok" });
    if (request.path !== "/repos/add") return jsonReply({ message: "Not Found" }, 404);
    const { dids } = await request.json();
    if (Array.isArray(dids)) for (const did of dids) repos.add(String(did));
    return { body: "" };
  }

  function open(
    { path, incoming, socket, head }: UpgradeRequest,
    rule: FaultRule | undefined,
  ): Reply | undefined {
    if (path !== "/channel") return jsonReply({ message: "Not Found" }, 404);
    sockets.handleUpgrade(incoming, socket, head, (ws) => {
      ws.on("error", () => ws.terminate());
      ws.on("close", () => senders.delete(ws));
      ws.on("message", (data) => {
        const message = JSON.parse(data.toString()) as { type?: unknown; id?: unknown }; // from the client under test
        if (message.type === "ack" && typeof message.id === "number") outbox.acknowledge(message.id);
      });
      senders.set(ws, createSender(ws, rule, options.prng));
      outbox.flush();
    });
    return undefined;
  }

  const disconnect = (): void => {
    senders.clear();
    for (const ws of sockets.clients) ws.terminate();
  };
  return {
    url: service.url,
    get clients() {
      return sockets.clients.size;
    },
    get pending() {
      return outbox.pending;
    },
    repos,
    publish: (event, live = event.kind === "commit") =>
      outbox.add(event.did, live, (id) => toMessage(event, id, live)),
    publishText: (did, text) => outbox.add(did, true, (id) => text.replace("ID", String(id))),
    disconnect,
    crash() {
      disconnect();
      outbox.restore();
    },
    async close() {
      outbox.close();
      await service.close();
    },
  };
}

function toMessage(event: JetstreamEvent, id: number, live: boolean): string {
  const { did } = event;
  if (event.kind === "commit") {
    const { operation: action, ...rest } = event.commit;
    return JSON.stringify({ id, type: "record", record: { live, did, action, ...rest } });
  }
  const handle = (event.kind === "identity" ? event.identity.handle : undefined) ?? "handle.invalid";
  const state = event.kind === "account" ? stateOf(event.account) : stateOf({ active: true });
  return JSON.stringify({ id, type: "identity", identity: { did, handle, ...state } });
}

function stateOf({
  active,
  status = "active",
}: {
  active: boolean;
  status?: string;
}): Record<string, unknown> {
  return { is_active: active, status };
}
