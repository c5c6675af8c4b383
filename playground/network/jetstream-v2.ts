import { type WebSocket, WebSocketServer } from "ws";
import type { JetstreamEvent } from "./event.ts";
import type { FaultRule, Faults } from "./faults.ts";
import { matcher, isCommit, kindName, SegmentStore, type PlanLimits } from "./jetstream-v2-archive.ts";
import { archiveMethods } from "./jetstream-v2-http.ts";
import { dictionaryId } from "./jetstream-v2-dictionary.ts";
import {
  compressedTextOf,
  infoText,
  replacementRow,
  subscription,
  syncRow,
  textOf,
  toRow,
  type LoggedRow,
  type Replacement,
} from "./jetstream-v2-row.ts";
import type { Row } from "./jetstream-v2-segment.ts";
import type { Prng } from "./prng.ts";
import { jsonReply, type Reply, startService, type UpgradeRequest } from "./service.ts";
import { createSender } from "./socket-sender.ts";
import { follow, StreamLog } from "./stream.ts";
import { answerXrpc } from "./xrpc.ts";
import { XrpcError } from "./xrpc-error.ts";

/** A Jetstream with an archive: `subscribeEvents`, and segments to be downloaded (jetstream §2.2 to §4). */
export interface JetstreamV2 {
  /** `ws://…`; the methods are under `/xrpc/`. */
  url: string;
  /** Cursors in seq from before the first segment that reaches into it are refused. @default 36 hours */
  lookBackMs: number;
  /** @default 4096 */
  rowsPerBlock: number;
  plan: PlanLimits;
  /** The one before the launch has another planner and no `subscribeEvents`. @default "launched" */
  generation: "launched" | "preview";
  /** Refuses the ID of the very dictionary that it serves. @default false */
  refusesDictionary: boolean;
  /** Of the planner and downloads, as a hosted front may demand it. @default none */
  archiveKey: string | undefined;
  readonly clients: number;
  /** Of the newest event; 0 before the first. */
  readonly seq: number;
  /** All events so far. */
  readonly rows: readonly Row[];
  readonly store: SegmentStore;
  /** Returns the event's seq. */
  publish(event: JetstreamEvent): number;
  /** A repo was read anew: a sync event, and each record that it has now. */
  resync(repo: { did: string; rev: string; timeUs: number }, records: readonly Replacement[]): void;
  /** Any frame, to all sockets. */
  raw(frame: string | Uint8Array): void;
  /** Closes the active segment: what was published so far is in the archive. */
  seal(): void;
  /** Rewrites the sealed segments without what is superseded. */
  compact(): void;
  /** Cuts every socket at once, without a close frame. */
  disconnect(): void;
  close(): Promise<void>;
}

export interface JetstreamV2Options {
  faults: Faults;
  prng: Prng;
  /** @default a free one */
  port?: number;
}

/** Below it a cursor is a seq, from it on Unix microseconds (jetstream §1.2). */
const leastMicros = 1e15;

/** Unlike `publish` of v1 nothing is ever dropped: the archive needs all of it. */
const logLimit = Number.POSITIVE_INFINITY;

export async function startJetstreamV2(options: JetstreamV2Options): Promise<JetstreamV2> {
  const sockets = new WebSocketServer({ noServer: true, autoPong: false, perMessageDeflate: false });
  const log = new StreamLog<LoggedRow>(logLimit);
  const store = new SegmentStore();
  const rows: Row[] = [];
  const service = await startService({
    ...options,
    name: "jetstream-v2",
    answer: (request) => answerXrpc(archiveMethods(server))(request),
    upgrade: (request, rule) => subscribe(request, rule),
  });

  function add(row: Row): number {
    rows.push(row);
    store.add(row);
    log.push({ ...row });
    return row.seq;
  }

  /** MinSeq of the first sealed segment that reaches into the look-back; nothing sealed, no floor. */
  function floor(): number {
    const sinceUs = (rows.at(-1)?.witnessedAt ?? 0) - server.lookBackMs * 1000;
    const inside = store.segments.find(({ maxWitnessedAt }) => maxWitnessedAt >= sinceUs);
    return (inside ?? store.segments.at(-1))?.minSeq ?? 0;
  }

  /** The first seq that a cursor asks for, and where the server raises that to. */
  function start(cursor: string | null): { seq: number; raisedTo?: number } {
    const live = log.end + 1;
    if (cursor === null) return { seq: live };
    const asked = Number(cursor);
    if (asked >= leastMicros) {
      const seq = log.find(({ witnessedAt }) => witnessedAt >= asked) + 1;
      return seq < floor() ? { seq: floor(), raisedTo: floor() } : { seq };
    }
    if (asked >= live) return { seq: live };
    if (Math.max(asked, 1) < floor())
      throw new XrpcError(
        400,
        "CursorTooOld",
        `cursor ${asked} below lookback floor ${floor()}; re-backfill from your last seq`,
      );
    return { seq: Math.max(asked, 1) };
  }

  function subscribe(request: UpgradeRequest, rule: FaultRule | undefined): Reply | undefined {
    const { params, method, incoming, socket, head } = request;
    try {
      if (method !== subscription || server.generation !== "launched")
        throw new XrpcError(501, "MethodNotImplemented", "Method Not Implemented");
      const isWanted = filterOf(params);
      const isCompressed = dictionaryOf(params, server.refusesDictionary);
      const { seq, raisedTo } = start(params.get("cursor"));
      sockets.handleUpgrade(incoming, socket, head, (ws) => {
        refuseData(ws);
        const send = createSender(ws, rule, options.prng);
        if (raisedTo !== undefined)
          send({ did: "", data: Buffer.from(infoText(`cursor resumed at seq ${raisedTo}`)), binary: false });
        follow({
          ws,
          socket,
          log,
          from: seq - 1,
          send,
          toFrame(row) {
            if (!isWanted(row)) return undefined;
            const data = isCompressed ? compressedTextOf(row) : textOf(row);
            return { did: row.did, data, binary: isCompressed };
          },
        });
      });
      return undefined;
    } catch (error) {
      if (!(error instanceof XrpcError)) throw error;
      return jsonReply({ error: error.error, message: error.message }, error.status);
    }
  }

  const server: JetstreamV2 = {
    url: service.url.replace("http:", "ws:"),
    lookBackMs: 36 * 3_600_000,
    rowsPerBlock: 4096,
    plan: { maxEntries: 100_000, wholeSegmentShare: 0.75 },
    generation: "launched",
    refusesDictionary: false,
    archiveKey: undefined,
    get clients() {
      return sockets.clients.size;
    },
    get seq() {
      return log.end;
    },
    rows,
    store,
    publish: (event) => add(toRow(event, log.end + 1)),
    resync({ did, rev, timeUs }, records) {
      const at = (): { seq: number; did: string; witnessedAt: number } => ({
        seq: log.end + 1,
        did,
        witnessedAt: timeUs,
      });
      add(syncRow(at(), rev));
      for (const record of records) add(replacementRow(at(), rev, record));
    },
    raw: (frame) => sockets.clients.forEach((ws) => ws.send(frame)),
    seal: () => void store.seal(server.rowsPerBlock),
    compact: () => store.compact(),
    disconnect: () => sockets.clients.forEach((ws) => ws.terminate()),
    close: service.close,
  };
  return server;
}

/** It is the server alone who speaks here. */
function refuseData(ws: WebSocket): void {
  ws.on("error", () => ws.terminate());
  ws.on("message", () => ws.close(1008, "the endpoint is server-push only"));
}

const kinds = new Set(["commit", "identity", "account", "sync"]);
const renamed = ["wantedCollections", "wantedDids", "requireHello"];

/** @throws XrpcError with the reason when the parameters are not acceptable */
function filterOf(params: URLSearchParams): (row: Row) => boolean {
  const invalid = (message: string): XrpcError => new XrpcError(400, "InvalidRequest", message);
  for (const name of renamed)
    if (params.has(name)) throw invalid(`${name} is not a parameter of this method`);
  if (params.get("compress") === "true") throw invalid("use zstdDictionary instead of compress");
  const cursor = params.get("cursor");
  if (cursor !== null && !/^\d{1,16}$/.test(cursor)) throw invalid("cursor must be an integer");
  const wanted = { kinds: params.getAll("kinds"), dids: params.getAll("dids") };
  const collections = params.getAll("collections");
  if (wanted.kinds.some((kind) => !kinds.has(kind))) throw invalid("unknown kind");
  if (collections.length > 100) throw invalid("too many collections");
  if (wanted.dids.length > 10_000) throw invalid("too many DIDs");
  if (collections.some((name) => !/^[a-z0-9-]+(\.[a-z0-9-]+)+(\.\*|\.[a-z][a-z0-9]*)$/i.test(name)))
    throw invalid("invalid collection");
  if (collections.length > 0 && wanted.kinds.length > 0 && !wanted.kinds.includes("commit"))
    throw invalid("collections without the kind commit");
  const isWanted = matcher(collections);
  return (row) =>
    (wanted.dids.length === 0 || wanted.dids.includes(row.did)) &&
    (wanted.kinds.length === 0 || wanted.kinds.includes(kindName(row))) &&
    (!isCommit(row) || isWanted(row.collection));
}

/** Whether frames are to be compressed. @throws XrpcError for another dictionary than ours */
function dictionaryOf(params: URLSearchParams, refuses: boolean): boolean {
  const id = params.get("zstdDictionary");
  if (id === null) return false;
  if (id === String(dictionaryId) && !refuses) return true;
  throw new XrpcError(
    400,
    "UnknownZstdDictionary",
    `unknown zstd dictionary id ${id}; current is ${dictionaryId}`,
  );
}
