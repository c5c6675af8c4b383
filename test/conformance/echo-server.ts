import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

/** The server behind `env.HTTP`; README.md lists its paths. */
export interface EchoServer {
  url: string;
  close(): Promise<void>;
}

export async function startEchoServer(): Promise<EchoServer> {
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || !address) throw new Error("the echo server has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://echo");
  const [, first = "", second = ""] = url.pathname.split("/");
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) body += chunk;
  const { host: _host, ...headers } = request.headers;
  switch (first) {
    case "echo":
      response.writeHead(200, { "Content-Type": "application/json", "X-Echo": "Yes" });
      response.end(
        JSON.stringify({ method: request.method, path: url.pathname + url.search, headers, body }),
      );
      return;
    case "status":
      response.writeHead(Number(second)).end(second === "204" ? undefined : `status ${second}`);
      return;
    case "redirect":
      response
        .writeHead(302, { location: Number(second) > 1 ? `/redirect/${Number(second) - 1}` : "/text" })
        .end();
      return;
    case "hang-up":
      request.socket.destroy();
      return;
    default:
      response.writeHead(200, { "content-type": "text/plain; charset=utf-8" }).end("plain ☃ text");
  }
}
