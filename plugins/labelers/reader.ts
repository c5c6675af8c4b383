import { explain } from "../../core/errors.ts";
import { createdAt } from "./label.ts";
import { decodeFrame } from "./frames.ts";
import type { LabelIntake } from "./intake.ts";
import type { Status } from "./status.ts";
import type { LabelWriter } from "./write.ts";

export interface ReaderParts {
  did: string;
  intake: LabelIntake;
  write: LabelWriter;
  status: Pick<Status, "refused" | "gap">;
  /** Unix milliseconds. */
  now: () => number;
  /** A stream that is silent for so long is at its newest message. */
  quietMs: number;
  /** Ends the work at once: what is not stored is read again. */
  signal: AbortSignal;
  /** Called once, when the stream is at its newest message. */
  onCaughtUp: () => Promise<void>;
  /** The labels cannot be stored; there is no use in reading on. */
  onFailed: (reason: string) => void;
}

/** What is made of the frames of one connection: one after another, as labels of a record build on each other. */
export interface Reader {
  opened(): void;
  /** A promise means "send no more before it resolves". @throws LabelerError when the labeler ends the stream */
  receive(data: Buffer): Promise<void> | undefined;
  /** Stores what was received. */
  close(): Promise<void>;
}

/** What a labeler ended its stream with: `FutureCursor`, `ConsumerTooSlow`. */
export class LabelerError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(`the labeler ended the stream: ${code} ${message}`.trim());
    this.code = code;
  }
}

interface Message {
  /** Null for a note that messages are no longer to be had. */
  seq: number | null;
  labels: unknown[];
  bytes: number;
}

/** Messages beyond these wait in the socket. */
const maxWaitingMessages = 2000;
const maxWaitingBytes = 1024 * 1024;
/** Messages that share a transaction. */
const batchMessages = 50;
/** Labels that are younger are of now, however fast their stream is. */
const liveMs = 60_000;

export function createReader(parts: ReaderParts): Reader {
  const { did, intake, write, status, now, signal } = parts;
  let queue: Message[] = [];
  let working: Promise<void> | undefined;
  let room: PromiseWithResolvers<void> | undefined;
  let waitingBytes = 0;
  let isOpen = false;
  let isCaughtUp = false;
  let quiet: NodeJS.Timeout | undefined;

  const isOver = (share: number): boolean =>
    queue.length > maxWaitingMessages * share || waitingBytes > maxWaitingBytes * share;

  async function work(): Promise<void> {
    while (queue.length > 0) {
      const batch = queue.slice(0, batchMessages);
      const labels = await intake(
        did,
        batch.flatMap((message) => message.labels),
        signal,
      );
      const seqs = batch.flatMap(({ seq }) => seq ?? []);
      const reached = seqs.length > 0 ? Math.max(...seqs) : null;
      await write(did, labels, { seq: reached, hasGap: seqs.length < batch.length }, signal);
      queue = queue.slice(batch.length);
      waitingBytes -= batch.reduce((sum, { bytes }) => sum + bytes, 0);
      if (!isOver(0.5)) makeRoom();
      const newest = Math.max(...labels.map((label) => createdAt(label) ?? 0));
      if (queue.length === 0 && newest >= (now() - liveMs) * 1000) await caughtUp();
    }
    listenForSilence();
    working = undefined;
  }

  function makeRoom(): void {
    room?.resolve();
    room = undefined;
  }

  function listenForSilence(): void {
    clearTimeout(quiet);
    if (!isOpen || isCaughtUp) return;
    quiet = setTimeout(() => {
      if (queue.length === 0 && !signal.aborted) void caughtUp();
    }, parts.quietMs).unref();
  }

  async function caughtUp(): Promise<void> {
    if (isCaughtUp) return;
    isCaughtUp = true;
    // Not known this time means that labels are asked for by URI in vain, and the next message tries again.
    await parts.onCaughtUp().catch(() => void (isCaughtUp = false));
  }

  function add(message: Message): Promise<void> | undefined {
    clearTimeout(quiet);
    queue.push(message);
    waitingBytes += message.bytes;
    working ??= work().catch((error: unknown) => {
      queue = [];
      makeRoom();
      parts.onFailed(explain(error));
    });
    if (!isOver(1)) return undefined;
    room ??= Promise.withResolvers<void>();
    return room.promise;
  }

  return {
    opened() {
      isOpen = true;
      listenForSilence();
    },
    receive(data) {
      const frame = decodeFrame(data);
      switch (frame.kind) {
        case "malformed":
          status.refused(did, `a frame cannot be read: ${frame.reason}`);
          return undefined;
        case "error":
          throw new LabelerError(frame.name, frame.message);
        case "info":
          if (frame.name !== "OutdatedCursor") return undefined;
          status.gap(did);
          return add({ seq: null, labels: [], bytes: data.length });
        case "labels":
          return add({ seq: frame.seq, labels: frame.labels, bytes: data.length });
      }
    },
    async close() {
      isOpen = false;
      clearTimeout(quiet);
      await working;
    },
  };
}
