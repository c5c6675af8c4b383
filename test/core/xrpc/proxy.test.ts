import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createProxy } from "../../../core/xrpc/proxy.ts";
import { createOutgoingFetch } from "../../../core/http/outgoing.ts";
import { anonymous } from "../../../core/http/caller.ts";
import type { Reply } from "../../../core/http/reply.ts";
import type { Settings } from "../../../core/settings.ts";

const asked: string[] = [];
let server: Server;
let pds: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.authorization ?? ""}`.trim());
    response.writeHead(200, { "content-type": "text/html" }).end("<script>alert(1)</script>");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  pds = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => new Promise((resolve) => server.close(resolve)));

function call(nsid: string, allowPrivate: boolean, query = ""): Promise<unknown> {
  const settings = { define: () => {}, get: () => undefined } as unknown as Settings;
  const proxy = createProxy({
    settings,
    identity: {
      resolve: () => Promise.reject(new Error("not asked")),
      pds: async () => pds,
      forget: async () => {},
    },
    fetch: createOutgoingFetch({ allowPrivate }),
    lookup: async () => [["did=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"]],
  });
  const request = {
    method: "GET",
    url: "/",
    headers: { get: () => null },
    arrayBuffer: async () => new ArrayBuffer(0),
  };
  return proxy({ nsid, type: "query", request, caller: anonymous, input: undefined, query }, undefined);
}

describe("the proxy", () => {
  test("forwards a query to the authority's PDS, without credentials, and marks what comes back as a stranger's", async () => {
    const reply = (await call("org.example.getThing", true, "a=1&b=%20")) as Reply;
    expect(asked).toEqual(["GET /xrpc/org.example.getThing?a=1&b=%20"]);
    expect(reply.status).toBe(200);
    expect(reply.headers).toMatchObject({
      "x-content-type-options": "nosniff",
      "content-security-policy": "sandbox; default-src 'none'",
    });
  });

  test.each([
    "com.evil.x/%2e%2e/%2e%2e/latest",
    "com.evil.x/../../latest",
    "com.evil.x?y",
    "single",
    "a.b.c d",
  ])("%s is no NSID and goes nowhere", async (nsid) => {
    asked.length = 0;
    await expect(call(nsid, true)).rejects.toMatchObject({ status: 400 });
    expect(asked).toEqual([]);
  });

  test("reaches no private address, whatever a DID document says", async () => {
    asked.length = 0;
    await expect(call("org.example.getThing", false)).rejects.toMatchObject({ status: 502 });
    expect(asked).toEqual([]);
  });
});
