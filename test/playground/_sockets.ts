import { WebSocket } from "ws";
import type { JetstreamEvent } from "../../playground/network/event.ts";

/** The socket's messages until there are `count` of them, or until it ends. */
export async function collect(url: string, count: number): Promise<{ messages: Buffer[]; code: number }> {
  const ws = new WebSocket(url);
  const messages: Buffer[] = [];
  return new Promise((resolve, reject) => {
    ws.on("message", (data: Buffer) => {
      // More may be on their way when the socket is asked to close.
      if (messages.length < count) messages.push(data);
      if (messages.length === count) ws.close();
    });
    ws.on("close", (code) => resolve({ messages, code }));
    ws.on("error", reject);
  });
}

export async function collectEvents(url: string, count: number): Promise<JetstreamEvent[]> {
  const { messages } = await collect(url, count);
  return messages.map((message): JetstreamEvent => JSON.parse(message.toString()));
}

export async function opened(url: string): Promise<WebSocket> {
  const ws = new WebSocket(url);
  await new Promise((resolve, reject) => ws.once("open", resolve).once("error", reject));
  return ws;
}
