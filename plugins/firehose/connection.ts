import type { LookupFunction } from "node:net";
import { WebSocket } from "ws";
import { explain } from "../../core/errors.ts";
import { maxFrameBytes } from "./decode.ts";
import type { ConnectionLife } from "./backoff.ts";

export interface ConnectionOptions {
  url: string;
  /** Ends the connection; nothing is received afterwards. */
  signal: AbortSignal;
  connectTimeoutMs: number;
  /** Ends it when nothing at all arrives for so long, answers to our pings included. */
  idleTimeoutMs: number;
  /** A larger frame breaks the connection. @default 64 MiB */
  maxBytes?: number;
  /** Resolves the host's name, where not every address may be reached. @default the system's resolver */
  lookup?: LookupFunction | undefined;
  onOpen: () => void;
  /** The socket is not read from now on, until the result is called. */
  onHold?: () => () => void;
  /** A promise means "read no further before it resolves"; what is thrown ends the connection. */
  onFrame: (data: Buffer, binary: boolean) => Promise<void> | void;
}

export interface Ended extends ConnectionLife {
  reason: string;
}

/** Frames above maxFrameBytes are skipped by their readers; above this one the socket breaks, as memory is finite. */
const hardLimitBytes = 8 * maxFrameBytes;

/** The system gives 64 KiB at once, TLS a quarter of that. */
const bytesAtOnce = 32 * 1024;

/** One WebSocket from its opening to its end, however that comes; never rejects. */
export function connectOnce(options: ConnectionOptions): Promise<Ended> {
  const { url, signal, connectTimeoutMs, idleTimeoutMs, onOpen, onHold, onFrame } = options;
  return new Promise((resolve) => {
    if (signal.aborted) return resolve({ reason: "stopped", openMs: 0, delivered: false });
    const socket = new WebSocket(url, {
      handshakeTimeout: connectTimeoutMs,
      maxPayload: options.maxBytes ?? hardLimitBytes,
      ...(options.lookup ? { lookup: options.lookup } : {}),
      perMessageDeflate: false, // halves the traffic of a stream that is small, for more CPU than reading it takes
    });
    let openedAt: number | undefined;
    let delivered = false;
    let ended = false;
    let holds = 0;
    let released: (() => void) | undefined;
    let heardAt = performance.now();

    const end = (reason: string): void => {
      if (ended) return;
      ended = true;
      clearInterval(watch);
      signal.removeEventListener("abort", stop);
      released?.();
      socket.terminate();
      resolve({ reason, delivered, openMs: openedAt === undefined ? 0 : performance.now() - openedAt });
    };
    const stop = (): void => end("stopped");
    const heard = (): void => void (heardAt = performance.now());

    const watch = setInterval(() => {
      // A paused socket hears nothing, not even a pong.
      if (openedAt === undefined || holds > 0) return;
      if (performance.now() - heardAt > idleTimeoutMs) end(`nothing arrived for ${idleTimeoutMs / 1000} s`);
      else socket.ping();
    }, idleTimeoutMs / 3);

    const hold = (until: Promise<void>): void => {
      holds += 1;
      if (holds === 1) released = onHold?.();
      socket.pause();
      const release = (): void => {
        holds -= 1;
        heard();
        if (holds > 0 || ended) return;
        released?.();
        socket.resume();
      };
      until.then(release, (error: unknown) => end(explain(error)));
    };

    let isResting = false;
    let bytesOfTurn = 0;
    /** What has piled up is read in pieces, with a turn of the event loop for all others between them. */
    const rest = (bytes: number): void => {
      if (bytesOfTurn === 0)
        setImmediate(() => {
          bytesOfTurn = 0;
          if (!isResting) return;
          isResting = false;
          if (holds === 0 && !ended) socket.resume();
        });
      bytesOfTurn += 1 + bytes;
      if (isResting || bytesOfTurn < bytesAtOnce) return;
      isResting = true;
      socket.pause();
    };

    signal.addEventListener("abort", stop);
    socket.on("open", () => {
      openedAt = performance.now();
      heard();
      onOpen();
    });
    socket.on("message", (data: Buffer, binary) => {
      if (ended) return;
      heard();
      delivered = true;
      rest(data.length);
      try {
        const wait = onFrame(data, binary);
        if (wait) hold(wait);
      } catch (error) {
        end(explain(error));
      }
    });
    socket.on("ping", heard);
    socket.on("pong", heard);
    socket.on("error", (error) => end(explain(error)));
    socket.on("close", (code, reason) => end(closeReason(code, reason.toString("utf8"))));
    // The body of a refused upgrade says why, and nothing else does (jetstream §1.6).
    socket.on("unexpected-response", (request, response) => {
      const refused = `the server answered ${response.statusCode}`;
      const stopReading = (text: string): void => {
        request.destroy();
        end(text ? `${refused}: ${text.slice(0, 300)}` : refused);
      };
      response.once("data", (chunk: Buffer) => stopReading(chunk.toString("utf8")));
      response.once("end", () => stopReading(""));
    });
  });
}

function closeReason(code: number, reason: string): string {
  if (code === 1006) return "the connection broke";
  return `closed by the server (${code}${reason ? `: ${reason}` : ""})`;
}
