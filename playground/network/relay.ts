import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { Directory } from "./directory.ts";
import type { FaultRule, Faults } from "./faults.ts";
import { errorFrame, infoFrame, type RelayEntry } from "./frames.ts";
import { listRepos, repoStatus } from "./pds.ts";
import type { Prng } from "./prng.ts";
import { jsonReply, type Reply, startService, type UpgradeRequest } from "./service.ts";
import { createSender, type SocketFrame } from "./socket-sender.ts";
import { follow, type StreamLog } from "./stream.ts";
import { answerXrpc, pageByDid, requiredParam } from "./xrpc.ts";
import { XrpcError } from "./xrpc-error.ts";

export interface Relay {
  url: string;
  /** Sequence number of the newest message. */
  readonly seq: number;
  /** Open `subscribeRepos` sockets. */
  readonly clients: number;
  /** Cuts every socket at once, without a close frame. */
  disconnect(): void;
  close(): Promise<void>;
}

export interface RelayOptions {
  faults: Faults;
  prng: Prng;
  /** Entry n of the log is the message with seq n + 1. */
  log: StreamLog<RelayEntry>;
  port?: number;
}

export async function startRelay(directory: Directory, options: RelayOptions): Promise<Relay> {
  const sockets = new WebSocketServer({ noServer: true, autoPong: false, perMessageDeflate: false });
  const service = await startService({
    ...options,
    name: "relay",
    answer: answerXrpc({ queries: relayQueries(directory) }),
    upgrade: (request, rule) => subscribe(sockets, request, rule, options),
  });
  return {
    url: service.url,
    close: service.close,
    get seq() {
      return options.log.end;
    },
    get clients() {
      return sockets.clients.size;
    },
    disconnect: () => sockets.clients.forEach((ws) => ws.terminate()),
  };
}

function relayQueries(directory: Directory): Parameters<typeof answerXrpc>[0]["queries"] {
  return {
    "com.atproto.sync.listRepos": ({ params }) => jsonReply(listRepos(directory.sorted(), params)),
    "com.atproto.sync.listReposByCollection": ({ params }) => {
      const collection = requiredParam(params, "collection");
      const holders = directory
        .sorted()
        .filter(({ repo }) => repo?.records.collections().includes(collection));
      const { page, ...cursor } = pageByDid(holders, params, 2000);
      return jsonReply({ repos: page.map(({ did }) => ({ did })), ...cursor });
    },
    "com.atproto.sync.getRepoStatus": ({ params }) => {
      const account = directory.find(requiredParam(params, "did"));
      if (!account) throw new XrpcError(400, "RepoNotFound", "account not found");
      return jsonReply(repoStatus(account));
    },
  };
}

function subscribe(
  sockets: WebSocketServer,
  { method, params, incoming, socket, head }: UpgradeRequest,
  rule: FaultRule | undefined,
  options: RelayOptions,
): Reply | undefined {
  if (method !== "com.atproto.sync.subscribeRepos") {
    return jsonReply({ error: "MethodNotImplemented", message: "Method Not Implemented" }, 501);
  }
  const cursor = params.get("cursor") || undefined;
  if (cursor !== undefined && !/^\d{1,15}$/.test(cursor)) {
    return jsonReply({ error: "InvalidRequest", message: "Error: cursor must be an integer" }, 400);
  }
  sockets.handleUpgrade(incoming, socket, head, (ws) => {
    serveFrom(ws, socket, {
      ...options,
      rule,
      cursor: cursor === undefined ? options.log.end : Number(cursor),
    });
  });
  return undefined;
}

function serveFrom(
  ws: WebSocket,
  socket: Duplex,
  { log, prng, rule, cursor }: RelayOptions & { rule: FaultRule | undefined; cursor: number },
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
  const toFrame = ({ did, data }: RelayEntry): SocketFrame => ({ did, data, binary: true });
  follow({ ws, socket, log, from: Math.max(cursor, log.start), send, toFrame });
}
