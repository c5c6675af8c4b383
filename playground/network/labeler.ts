import { Secp256k1Keypair } from "@atproto/crypto";
import { encode } from "@atproto/lex-cbor";
import type { LexMap } from "@atproto/lex-data";
import { lexToJson } from "@atproto/lex-json";
import { WebSocketServer } from "ws";
import type { Account } from "./account.ts";
import { datetimeAt, type NetworkClock } from "./clock.ts";
import { openEventStream, type StreamEntry } from "./event-stream.ts";
import type { Faults } from "./faults.ts";
import { labelsFrame } from "./frames.ts";
import type { Prng } from "./prng.ts";
import { jsonReply, type Reply, startService } from "./service.ts";
import { StreamLog } from "./stream.ts";
import { answerXrpc, limitParam } from "./xrpc.ts";
import { XrpcError } from "./xrpc-error.ts";

export interface LabelInput {
  uri: string;
  val: string;
  neg?: true;
  cid?: string;
  /** @default the network's time */
  cts?: string;
  exp?: string;
  /** @default the labeler's DID */
  src?: string;
}

/** An account that labels: its DID document names the key and the address. */
export interface Labeler {
  account: Account;
  did: string;
  url: string;
  readonly keypair: Secp256k1Keypair;
  /** Sequence number of the newest message. */
  readonly seq: number;
  /** Open `subscribeLabels` sockets. */
  readonly clients: number;
  /** Signs labels and sends them in one message. */
  emit(...labels: LabelInput[]): Promise<LexMap[]>;
  /** Sends labels in one message, whoever signed them. */
  emitSigned(...labels: LexMap[]): void;
  /** Sends any bytes to the sockets that are open; they have no seq. */
  raw(data: Uint8Array): void;
  /** Signs with another key from now on, which the DID document names at once. */
  rotateKey(): Promise<void>;
  /** Lets the messages up to a seq go: an older cursor is outdated. */
  forget(seq: number): void;
  /** Begins anew without a message, as a service whose database was lost. */
  restart(): void;
  /** Cuts every socket at once, without a close frame. */
  disconnect(): void;
  close(): Promise<void>;
}

export interface LabelerOptions {
  account: Account;
  clock: NetworkClock;
  faults: Faults;
  prng: Prng;
}

const logLimit = 1_000_000;

/** `com.atproto.label.subscribeLabels` and `queryLabels` of one labeler. */
export async function startLabeler({ account, clock, faults, prng }: LabelerOptions): Promise<Labeler> {
  const sockets = new WebSocketServer({ noServer: true, autoPong: false, perMessageDeflate: false });
  let log = new StreamLog<StreamEntry>(logLimit);
  let known = createKnownLabels();
  let keypair = await nextKeypair(prng);
  const service = await startService({
    faults,
    name: "labeler",
    answer: answerXrpc({
      queries: { "com.atproto.label.queryLabels": ({ params }) => known.answer(params) },
    }),
    upgrade: (request, rule) =>
      openEventStream(sockets, request, rule, { method: "com.atproto.label.subscribeLabels", log, prng }),
  });
  const announce = (): void => account.announceLabeler({ url: service.url, key: keypair.did() });
  const disconnect = (): void => sockets.clients.forEach((ws) => ws.terminate());
  announce();

  function emitSigned(...labels: LexMap[]): void {
    log.push({ did: account.did, data: labelsFrame(log.end + 1, labels) });
    for (const label of labels) known.add(label);
  }

  return {
    account,
    did: account.did,
    url: service.url,
    get keypair() {
      return keypair;
    },
    get seq() {
      return log.end;
    },
    get clients() {
      return sockets.clients.size;
    },
    async emit(...inputs) {
      const labels: LexMap[] = [];
      for (const input of inputs) {
        const label = { ver: 1, src: account.did, cts: datetimeAt(clock.micros()), ...input };
        labels.push(await signLabel(label, keypair));
      }
      emitSigned(...labels);
      return labels;
    },
    emitSigned,
    raw: (data) => sockets.clients.forEach((ws) => ws.send(data)),
    async rotateKey() {
      keypair = await nextKeypair(prng);
      announce();
    },
    forget: (seq) => log.forget(seq),
    restart() {
      log = new StreamLog<StreamEntry>(logLimit);
      known = createKnownLabels();
      disconnect();
    },
    disconnect,
    close: service.close,
  };
}

/** A label with its signature: over the DAG-CBOR of all else (label spec). */
export async function signLabel(label: LexMap, keypair: Secp256k1Keypair): Promise<LexMap> {
  return { ...label, sig: await keypair.sign(encode(label)) };
}

function nextKeypair(prng: Prng): Promise<Secp256k1Keypair> {
  return Secp256k1Keypair.import(prng.bytes(32));
}

interface KnownLabels {
  add(label: LexMap): void;
  answer(params: URLSearchParams): Reply;
}

/** The newest label of each subject and value, negations too, numbered in the order of arrival. */
function createKnownLabels(): KnownLabels {
  const newest = new Map<string, { id: number; label: LexMap }>();
  let count = 0;
  return {
    add(label) {
      newest.set(`${String(label["uri"])} ${String(label["val"])}`, { id: ++count, label });
    },
    answer(params) {
      const patterns = params.getAll("uriPatterns");
      if (patterns.length === 0)
        throw new XrpcError(400, "InvalidRequest", 'Error: Params must have the property "uriPatterns"');
      const sources = params.getAll("sources");
      const limit = limitParam(params, 50, 250);
      const after = Number(params.get("cursor") ?? 0);
      const page = [...newest.values()]
        .filter(({ id, label }) => id > after && isMatch(String(label["uri"]), patterns))
        .filter(({ label }) => sources.length === 0 || sources.includes(String(label["src"])))
        .toSorted((a, b) => a.id - b.id)
        .slice(0, limit);
      const cursor = page.at(-1)?.id.toString();
      return jsonReply({ labels: page.map(({ label }) => lexToJson(label)), cursor });
    },
  };
}

function isMatch(uri: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith("*") ? uri.startsWith(pattern.slice(0, -1)) : uri === pattern,
  );
}
