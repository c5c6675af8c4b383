import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { connectOnce } from "../../../plugins/firehose/connection.ts";

test("frames that have piled up are read in turns of the event loop", async () => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const frames = 20_000;
  const frame = Buffer.alloc(500, "x");
  server.on("connection", (socket) => {
    for (let i = 0; i < frames; i++) socket.send(frame);
  });
  const stopping = new AbortController();
  const inTurn: number[] = [];
  let received = 0;
  let turn = 0;
  const count = (): void => {
    inTurn.push(turn);
    turn = 0;
    if (received === frames) stopping.abort();
    if (!stopping.signal.aborted) setImmediate(count);
  };
  const { reason } = await connectOnce({
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    signal: stopping.signal,
    connectTimeoutMs: 10_000,
    idleTimeoutMs: 60_000,
    onOpen: count,
    onFrame() {
      received += 1;
      turn += 1;
    },
  }).finally(() => stopping.abort());
  expect(reason).toBe("stopped");
  expect(received).toBe(frames);
  // The system gives 64 KiB at once; pieces that are smaller are read together, up to half of that.
  expect(Math.max(...inTurn)).toBeLessThanOrEqual((2 * 65_536) / frame.length);
  expect(Math.max(...inTurn)).toBeGreaterThanOrEqual(32_768 / frame.length);
  for (const socket of server.clients) socket.terminate();
  await new Promise((resolve) => server.close(resolve));
});
