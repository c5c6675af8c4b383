import { Secp256k1Keypair } from "@atproto/crypto";
import { encode } from "@atproto/lex-cbor";
import type { LexMap } from "@atproto/lex-data";
import { MessageFrame } from "@atproto/xrpc-server";
import { WebSocketServer, type WebSocket } from "ws";
import type { Account } from "./account.ts";
import { errorFrame, infoFrame } from "./frames.ts";
import type { Network } from "./network.ts";
import { jsonReply, type Reply, startService, type UpgradeRequest } from "./service.ts";
import { answerXrpc } from "./xrpc.ts";

export interface LabelInput {
  uri: string;
  val: string;
  neg?: boolean;
  /** @default now */
  cts?: string;
  exp?: string;
  /** @default the labeler's DID */
  src?: string;
}

/** A labeler with an account of its own: its document names its key and its service. */
export interface Labeler {
  did: string;
  url: string;
  /** Open sockets. */
  readonly clients: number;
  /** Signs labels and sends them in one message. `sign` may be another key, or false for none. */
  emit(labels: readonly LabelInput[], sign?: Secp256k1Keypair | false): Promise<void>;
  /** Another key from now on; the document says so at once. */
  rotateKey(): Promise<void>;
  /** Forgets messages up to this seq: an older cursor is answered with `OutdatedCursor`. */
  forgetUntil(seq: number): void;
  /** Refuses new sockets while false. */
  isOnline: boolean;
  disconnect(): void;
  close(): Promise<void>;
}

/**
 * `com.atproto.label.subscribeLabels` and `queryLabels`.
 * @example const labeler = await startLabeler(network); await labeler.emit([{ uri, val: "spam" }]);
 */
export async function startLabeler(network: Network): Promise<Labeler> {
  const account: Account = await network.createAccount();
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const messages: { seq: number; data: Buffer; labels: LexMap[] }[] = [];
  let keypair = await Secp256k1Keypair.create({ exportable: true });
  let seq = 0;
  const service = await startService({
    faults: network.faults,
    name: "labeler",
    answer: answerXrpc({ queries: { "com.atproto.label.queryLabels": ({ params }) => query(params) } }),
    upgrade: (request) => subscribe(request),
  });
  const announce = (): void => account.announceLabeler({ url: service.url, key: keypair.did() });
  announce();

  function query(params: URLSearchParams): Reply {
    const patterns = params.getAll("uriPatterns");
    const latest = new Map<string, LexMap>();
    for (const label of messages.flatMap(({ labels }) => labels))
      if (patterns.includes(String(label["uri"])))
        latest.set(`${String(label["uri"])} ${String(label["val"])}`, label);
    return jsonReply({ labels: [...latest.values()].map(toJson) });
  }

  function subscribe({ params, incoming, socket, head }: UpgradeRequest): Reply | undefined {
    if (!labeler.isOnline) return jsonReply({ error: "InternalServerError", message: "offline" }, 503);
    sockets.handleUpgrade(incoming, socket, head, (ws) => {
      const cursor = params.has("cursor") ? Number(params.get("cursor")) : seq;
      if (cursor > seq) {
        ws.send(errorFrame("FutureCursor", "Cursor in the future."));
        ws.close(1008);
        return;
      }
      const oldest = messages[0]?.seq ?? seq + 1;
      if (cursor < oldest - 1) ws.send(infoFrame("OutdatedCursor", "Requested cursor exceeded limit."));
      for (const message of messages) if (message.seq > cursor) ws.send(message.data);
    });
    return undefined;
  }

  const labeler: Labeler = {
    did: account.did,
    url: service.url,
    isOnline: true,
    get clients() {
      return sockets.clients.size;
    },
    async emit(inputs, sign = keypair) {
      const labels: LexMap[] = [];
      for (const { neg, exp, ...input } of inputs) {
        const label: LexMap = {
          ver: 1,
          src: account.did,
          cts: new Date().toISOString(),
          ...input,
          ...(neg ? { neg } : {}),
          ...(exp === undefined ? {} : { exp }),
        };
        labels.push(sign ? { ...label, sig: await sign.sign(encode(label)) } : label);
      }
      const data = Buffer.from(new MessageFrame({ seq: ++seq, labels }, { type: "#labels" }).toBytes());
      messages.push({ seq, data, labels });
      sockets.clients.forEach((ws: WebSocket) => ws.send(data));
    },
    async rotateKey() {
      keypair = await Secp256k1Keypair.create({ exportable: true });
      announce();
    },
    forgetUntil(last) {
      while (messages[0] && messages[0].seq <= last) messages.shift();
    },
    disconnect: () => sockets.clients.forEach((ws) => ws.terminate()),
    close: service.close,
  };
  return labeler;
}

function toJson({ sig, ...label }: LexMap): Record<string, unknown> {
  const bytes =
    sig instanceof Uint8Array ? Buffer.from(sig).toString("base64").replace(/=+$/, "") : undefined;
  return { ...label, ...(bytes === undefined ? {} : { sig: { $bytes: bytes } }) };
}
