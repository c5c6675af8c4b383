import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import type { SocketFrame, SocketSender } from "./socket-sender.ts";

/** The newest entries of a stream, with positions that never change. */
export class StreamLog<Entry> {
  readonly #limit: number;
  readonly #followers = new Set<() => void>();
  #entries: Entry[] = [];
  #start = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Position of the oldest entry still here. */
  get start(): number {
    return this.#start;
  }

  /** Position of the entry that comes next. */
  get end(): number {
    return this.#start + this.#entries.length;
  }

  at(position: number): Entry | undefined {
    return this.#entries[position - this.#start];
  }

  /** Several at once reach the sockets in one go. */
  push(...entries: Entry[]): void {
    this.#entries.push(...entries);
    // Trimmed in strides: dropping one entry a push would copy the log each time.
    const excess = this.#entries.length - this.#limit;
    if (excess > this.#limit / 4) {
      this.#entries = this.#entries.slice(excess);
      this.#start += excess;
    }
    for (const wake of this.#followers) wake();
  }

  /** Lets the entries before a position go. */
  forget(position: number): void {
    const gone = Math.min(Math.max(position - this.#start, 0), this.#entries.length);
    this.#entries = this.#entries.slice(gone);
    this.#start += gone;
  }

  /** Position of the first entry that passes, or the end. */
  find(passes: (entry: Entry) => boolean): number {
    const index = this.#entries.findIndex(passes);
    return index < 0 ? this.end : this.#start + index;
  }

  /** Runs `wake` after every push until the result is called. */
  follow(wake: () => void): () => void {
    this.#followers.add(wake);
    return () => this.#followers.delete(wake);
  }
}

/** Bytes waiting in one socket before replay pauses. */
const highWaterBytes = 1_000_000;
/** Entries looked at before other work gets a turn. */
const entriesPerTurn = 1000;

export interface Following<Entry> {
  ws: WebSocket;
  /** What `ws` writes to: held back while many frames are sent, so that they leave in few system calls. */
  socket: Duplex;
  log: StreamLog<Entry>;
  from: number;
  send: SocketSender;
  /** Undefined leaves the entry out. */
  toFrame(entry: Entry): SocketFrame | undefined;
}

/**
 * Sends a log from a position on: replay and live are the same loop.
 * A reader so slow that the log has moved past it is cut off, as the real servers do.
 */
export function follow<Entry>({ ws, socket, log, from, send, toFrame }: Following<Entry>): void {
  let position = from;
  let isWaiting = false;
  const wait = (): (() => void) => {
    isWaiting = true;
    return () => {
      isWaiting = false;
      pump();
    };
  };
  const sendTurn = (): void => {
    for (let turn = 0; position < log.end && !isWaiting; turn++) {
      if (ws.readyState !== ws.OPEN) return;
      if (position < log.start) return ws.terminate();
      if (turn === entriesPerTurn) return void setImmediate(wait());
      const entry = log.at(position++);
      const frame = entry === undefined ? undefined : toFrame(entry);
      if (frame) send(frame, ws.bufferedAmount > highWaterBytes ? wait() : undefined);
    }
  };
  const pump = (): void => {
    if (isWaiting) return;
    socket.cork();
    sendTurn();
    socket.uncork();
  };
  ws.once("close", log.follow(pump));
  pump();
}
