import { WebSocketServer } from "ws";
import type { Directory } from "./directory.ts";
import { openEventStream, type StreamEntry } from "./event-stream.ts";
import type { Faults } from "./faults.ts";
import { listRepos, repoStatus } from "./pds.ts";
import type { Prng } from "./prng.ts";
import { jsonReply, startService } from "./service.ts";
import type { StreamLog } from "./stream.ts";
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
  log: StreamLog<StreamEntry>;
  port?: number;
}

export async function startRelay(directory: Directory, options: RelayOptions): Promise<Relay> {
  const sockets = new WebSocketServer({ noServer: true, autoPong: false, perMessageDeflate: false });
  const service = await startService({
    ...options,
    name: "relay",
    answer: answerXrpc({ queries: relayQueries(directory) }),
    upgrade: (request, rule) =>
      openEventStream(sockets, request, rule, { method: "com.atproto.sync.subscribeRepos", ...options }),
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
