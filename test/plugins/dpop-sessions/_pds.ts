import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export const did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

export interface TokenAnswer {
  status: number;
  body: object;
}

/** A PDS that takes the access tokens it is told of, its authorization server, and the directory that names it. */
export interface StubPds {
  url: string;
  /** Access tokens that it takes; every other one has run out. */
  good: Set<string>;
  /** What the token endpoint was asked, each with how to answer it. */
  refreshes: { refreshToken: string; answer(answer: TokenAnswer): void }[];
  /** The tokens whose grants it was asked to end. */
  revoked: string[];
  /** Answers a request with a good token. */
  serve: (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;
  close(): Promise<void>;
}

export async function startPds(): Promise<StubPds> {
  const pds: StubPds = {
    url: "",
    good: new Set(),
    refreshes: [],
    revoked: [],
    serve: (_, response) => json(response, 200, { ok: true }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => answer(pds, request, response, Buffer.concat(chunks)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  pds.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return pds;
}

function answer(pds: StubPds, request: IncomingMessage, response: ServerResponse, body: Buffer): void {
  const path = request.url ?? "";
  if (path.startsWith("/did:")) {
    const service = [{ id: "#atproto_pds", type: "AtprotoPersonalDataServer", serviceEndpoint: pds.url }];
    return json(response, 200, { id: did, alsoKnownAs: ["at://alice.test"], service });
  }
  if (path === "/.well-known/oauth-authorization-server")
    return json(response, 200, {
      issuer: pds.url,
      token_endpoint: `${pds.url}/token`,
      revocation_endpoint: `${pds.url}/revoke`,
    });
  if (path === "/revoke") {
    pds.revoked.push(new URLSearchParams(body.toString()).get("token") ?? "");
    return json(response, 200, {});
  }
  if (path === "/token") {
    const refreshToken = new URLSearchParams(body.toString()).get("refresh_token") ?? "";
    pds.refreshes.push({ refreshToken, answer: ({ status, body }) => json(response, status, body) });
    return;
  }
  const token = request.headers.authorization?.slice("DPoP ".length) ?? "";
  if (pds.good.has(token)) return pds.serve(request, response, body);
  json(response, 401, { error: "invalid_token" });
}

export function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
