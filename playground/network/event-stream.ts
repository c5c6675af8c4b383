import type { Duplex } from "node:stream";
import type { WebSocket, WebSocketServer } from "ws";
import type { FaultRule } from "./faults.ts";
import { errorFrame, infoFrame } from "./frames.ts";
import type { Prng } from "./prng.ts";
import { jsonReply, type Reply, type UpgradeRequest } from "./service.ts";
import { createSender, type SocketFrame } from "./socket-sender.ts";
import { follow, type StreamLog } from "./stream.ts";

/** One message of an event stream, encoded once for all its readers. */
export interface StreamEntry {
  /** Whom it is about. */
  did: string;
  data: Buffer;
}

export interface EventStream {
  /** NSID of the one subscription that is served. */
  method: string;
  /** Entry n of the log is the message with seq n + 1. */
  log: StreamLog<StreamEntry>;
  prng: Prng;
}

/** Takes a socket over for an event stream with cursors in seq, or says with which reply it is refused. */
export function openEventStream(
  sockets: WebSocketServer,
  { method, params, incoming, socket, head }: UpgradeRequest,
  rule: FaultRule | undefined,
  stream: EventStream,
): Reply | undefined {
  if (method !== stream.method) {
    return jsonReply({ error: "MethodNotImplemented", message: "Method Not Implemented" }, 501);
  }
  const cursor = params.get("cursor") || undefined;
  if (cursor !== undefined && !/^\d{1,15}$/.test(cursor)) {
    return jsonReply({ error: "InvalidRequest", message: "Error: cursor must be an integer" }, 400);
  }
  sockets.handleUpgrade(incoming, socket, head, (ws) => {
    const from = cursor === undefined ? stream.log.end : Number(cursor);
    serveFrom(ws, socket, { ...stream, rule, cursor: from });
  });
  return undefined;
}

function serveFrom(
  ws: WebSocket,
  socket: Duplex,
  { log, prng, rule, cursor }: EventStream & { rule: FaultRule | undefined; cursor: number },
): void {
  ws.on("error", () => ws.terminate());
  if (cursor > log.end) {
    ws.send(errorFrame("FutureCursor", "Cursor in the future."));
    ws.close(1008);
    return;
  }
  if (cursor < log.start) {
    ws.send(infoFrame("OutdatedCursor", "Requested cursor exceeded limit. Possibly missing events"));
  }
  const send = createSender(ws, rule, prng);
  const toFrame = ({ did, data }: StreamEntry): SocketFrame => ({ did, data, binary: true });
  follow({ ws, socket, log, from: Math.max(cursor, log.start), send, toFrame });
}
