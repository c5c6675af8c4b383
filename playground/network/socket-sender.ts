import type { WebSocket } from "ws";
import type { FaultRule, SocketFault } from "./faults.ts";
import type { Prng } from "./prng.ts";

export interface SocketFrame {
  did: string;
  data: Buffer;
  binary: boolean;
}

/** Sends frames, or mistreats them as the connection's fault rule says. `sent` runs when a frame has left. */
export type SocketSender = (frame: SocketFrame, sent?: () => void) => void;

/** A shuffled window that does not fill up is sent after this pause, so that no event waits for ever. */
const reorderFlushMs = 20;

export function createSender(ws: WebSocket, rule: FaultRule | undefined, prng: Prng): SocketSender {
  const fault = rule?.socket;
  if (!fault) {
    answerPings(ws, () => true);
    return ({ data, binary }, sent) => ws.send(data, { binary }, sent);
  }
  const emit = createEmitter(ws, fault);
  const reorder = createReorderer(ws, fault.reorder ?? 1, prng, emit);
  return (frame, sent) => {
    // A frame that is dropped or held back never leaves: the reader's pace does not count here.
    if (sent) setImmediate(sent);
    if (rule.did !== undefined && rule.did !== frame.did) return emit(frame);
    if (fault.drop !== undefined && prng.chance(fault.drop)) return;
    reorder(frame);
    if (fault.duplicate !== undefined && prng.chance(fault.duplicate)) reorder(frame);
  };
}

function createEmitter(ws: WebSocket, fault: SocketFault): (frame: SocketFrame) => void {
  let sent = 0;
  let isCut = false;
  const isStalled = (): boolean => fault.stallAfter !== undefined && sent >= fault.stallAfter;
  answerPings(ws, () => !isStalled());
  return ({ data, binary }) => {
    if (isStalled() || isCut || ws.readyState !== ws.OPEN) return;
    sent++;
    // Cut only once the last frame is out: the fault is "after n events", not "after about n".
    isCut = sent === fault.disconnectAfter;
    ws.send(data, { binary }, isCut ? () => ws.terminate() : undefined);
    if (sent === fault.closeAfter) ws.close(1000);
  };
}

function createReorderer(
  ws: WebSocket,
  windowSize: number,
  prng: Prng,
  emit: (frame: SocketFrame) => void,
): (frame: SocketFrame) => void {
  if (windowSize <= 1) return emit;
  let held: SocketFrame[] = [];
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const window = held;
    held = [];
    for (const frame of prng.shuffle(window)) emit(frame);
  };
  ws.once("close", () => clearTimeout(timer));
  return (frame) => {
    held.push(frame);
    if (held.length >= windowSize) flush();
    else timer ??= setTimeout(flush, reorderFlushMs);
  };
}

/** The servers run without ws's own pongs, so that a stalled connection is silent in every way. */
function answerPings(ws: WebSocket, isAlive: () => boolean): void {
  ws.on("ping", (data) => {
    if (isAlive()) ws.pong(data);
  });
}
