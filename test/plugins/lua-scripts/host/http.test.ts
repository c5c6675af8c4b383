import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  httpAllowance,
  httpFunctions,
  type HttpAllowance,
} from "../../../../plugins/lua-scripts/host/http.ts";
import { createScriptFetch, type ScriptFetch } from "../../../../plugins/lua-scripts/host/outgoing.ts";
import { openBench, startBench, value, type Bench } from "./_bench.ts";

let server: Server;
let host: string;
let hits = 0;
let bench: Bench;

beforeAll(async () => {
  server = createServer((request, response) => {
    hits++;
    const url = new URL(request.url ?? "/", "http://x");
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const { pathname } = url;
      if (pathname === "/loop") return response.writeHead(302, { location: "/loop" }).end();
      if (pathname === "/to")
        return response.writeHead(307, { location: url.searchParams.get("url") ?? "" }).end();
      if (pathname === "/see-other") return response.writeHead(303, { location: "/echo" }).end();
      if (pathname === "/large") return response.end(Buffer.alloc(3000, "x"));
      if (pathname === "/broken") {
        response.writeHead(200, { "content-length": "100" });
        return response.write("half", () => setImmediate(() => response.socket?.destroy()));
      }
      if (pathname === "/stall") return undefined;
      response.writeHead(pathname === "/missing" ? 404 : 200, { "X-One": "1", "x-two": ["a", "b"] });
      return response.end(
        JSON.stringify({
          method: request.method,
          body,
          key: request.headers["x-key"],
          auth: request.headers["authorization"],
        }),
      );
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  bench = await openBench({ http: { allow: [host] } });
});
afterAll(async () => {
  await bench.stop();
  server.closeAllConnections();
  server.close();
});

const url = (path: string): string => `http://${host}${path}`;

describe("requests", () => {
  test.each([
    ["get", "GET", ""],
    ["post", "POST", "text"],
    ["put", "PUT", "text"],
    ["patch", "PATCH", "text"],
    ["delete", "DELETE", "text"],
  ])("%s", async (method, sent, body) => {
    const code = `local r = http.${method}('${url("/echo")}', { headers = { ['x-key'] = 'k', n = 5, bad = {} }, body = 'text' }) return { r.status, json.decode(r.body), r.headers['x-one'] }`;
    expect(await value(bench.query(code))).toEqual([200, { method: sent, body, key: "k" }, "1"]);
  });

  test.each([
    ["head has no body", "local r = http.head(U .. '/echo') return { r.status, r.body }", [200, ""]],
    ["no options", "return json.decode(http.get(U .. '/echo').body).method", "GET"],
    [
      "a body that is no string is left out",
      "return json.decode(http.post(U .. '/echo', { body = 5 }).body).body",
      "",
    ],
    ["4xx is a result", "return http.get(U .. '/missing').status", 404],
    [
      "303 becomes GET",
      "return json.decode(http.post(U .. '/see-other', { body = 'x' }).body).method",
      "GET",
    ],
    [
      "307 stays what it was",
      "return json.decode(http.post(U .. '/to?url=/echo', { body = 'x' }).body)",
      { method: "POST", body: "x" },
    ],
    ["in a coroutine", "return coroutine.wrap(function() return http.get(U .. '/echo').status end)()", 200],
    ["in pcall", "local ok, r = pcall(http.get, U .. '/echo') return { ok, r.status }", [true, 200]],
  ])("%s", async (_name, code, expected) => {
    expect(await value(bench.query(`local U = '${url("")}' ${code}`))).toEqual(expected);
  });

  test.each([
    ["more than ten redirects", "http.get(U .. '/loop')", /^HTTP request failed: more than 10 redirects$/],
    ["no URL", "http.get('nonsense')", /^HTTP request failed: Invalid URL/],
    ["another protocol", "http.get('file:///etc/passwd')", /^HTTP request failed: /],
    [
      "nobody there",
      "http.get('http://127.0.0.1:1/')",
      /^HTTP request failed: 127.0.0.1:1 is a private address; list it/,
    ],
    ["a body that ends too early", "http.get(U .. '/broken')", /^HTTP read body failed: /],
    [
      "a redirect to a private address",
      "http.get(U .. '/to?url=http://localhost:4321/')",
      /^HTTP request failed: localhost:4321 is a private address/,
    ],
    [
      "a name that resolves to a private address",
      "http.get('http://localhost:4321/')",
      /is a private address/,
    ],
    ["a private IPv6 address", "http.get('http://[::1]:4321/')", /is a private address/],
    ["a link-local address", "http.get('http://169.254.169.254/latest/meta-data')", /is a private address/],
    ["a body that is not UTF-8", "http.post(U .. '/echo', { body = '\\xff' })", /invalid type: byte array/],
  ])("%s raises", async (_name, call, message) => {
    const code = `local U = '${url("")}' return (select(2, pcall(function() return ${call} end)):gsub('^.-:%d+: ', ''))`;
    expect(await value(bench.query(code))).toMatch(message);
  });

  test("credentials do not follow a redirect to another origin", async () => {
    const other = await startBench({ http: { allow: ["*"] } });
    const port = host.split(":")[1];
    const code = `local r = http.get('${url("/to")}?url=http://localhost:${port}/echo', { headers = { Authorization = 'secret', ['x-key'] = 'k' } }) return json.decode(r.body)`;
    expect(await value(other.query(code))).toEqual({ method: "GET", body: "", key: "k" });
  });

  test("SCRIPT_HTTP_ALLOW wins over the option", async () => {
    const code = `return pcall(http.get, '${url("/echo")}')`;
    const open = await startBench({}, { env: { SCRIPT_HTTP_ALLOW: `example.org, ${host}` } });
    expect(await value(open.query(code))).toBe(true);
    const shut = await startBench({ http: { allow: ["*"] } }, { env: { SCRIPT_HTTP_ALLOW: "example.org" } });
    expect(await value(shut.query(code))).toBe(false);
  });
});

/** As `http.get` of a run asks. */
async function get(path: string, fetch: ScriptFetch, allowance: HttpAllowance): Promise<unknown> {
  const given = [{ method: "get", url: url(path), headers: {} }];
  return httpFunctions(fetch, allowance)["http.request"]?.(given, { signal: new AbortController().signal });
}

describe("budgets", () => {
  const tooMany = { errorType: "runtime", message: "HTTP request failed: a run may make 100 requests" };

  test.each([
    ["of a declared length", "/large", { maxResponseBytes: 1000 }, /^HTTP (request|read body) failed: /],
    ["without an answer in time", "/stall", { timeoutMs: 50 }, /^HTTP request failed: /],
  ])("a response %s is given up", async (_name, path, given, message) => {
    const { timeoutMs, ...size }: { timeoutMs?: number; maxResponseBytes?: number } = given;
    const asked = get(path, createScriptFetch({ allow: ["*"], ...size }), httpAllowance("query", timeoutMs));
    await expect(asked).rejects.toThrow(message);
  });

  test("a job makes as many as it likes", async () => {
    const allowance = httpAllowance("job");
    const fetch = createScriptFetch({ allow: ["*"] });
    for (let i = 0; i < 101; i++) await get("/echo", fetch, allowance);
    expect(allowance.used.httpRequests).toBe(101);
  });

  test("a hundred requests a run", async () => {
    const before = hits;
    const code = (n: number): string => `for i = 1, ${n} do http.get('${url("/echo")}') end return 1`;
    expect(await value(bench.query(code(100)))).toBe(1);
    expect(hits - before).toBe(100);
    expect(await bench.query(code(101))).toMatchObject({ status: 500, body: tooMany });
    expect(hits - before).toBe(200);
  });

  test("the limit of requests ends the run although each is caught", async () => {
    const before = hits;
    const code = `while true do pcall(http.get, '${url("/echo")}') end`;
    expect(await bench.query(code)).toMatchObject({ status: 500, body: tooMany });
    expect(hits - before).toBe(100);
    expect(bench.events.findLast((event) => event.type === "script.error")?.detail).toMatchObject({
      limit: "http_requests",
      limits: { http_requests: { used: 100, of: 100 }, http_bytes: { of: 500_000_000 } },
    });
  });

  test("ten thousand at once are a hundred, and the server goes on", async () => {
    const before = hits;
    const code = `local async, fs = require('internal.async'), {}
      for i = 1, 10000 do fs[i] = function() return (pcall(http.get, '${url("/echo")}')) end end
      return (select('#', async.all(table.unpack(fs))))`;
    expect(await bench.query(code)).toMatchObject({ status: 500, body: tooMany });
    // The run ends with the limit, and what it has just begun with it.
    expect(hits - before).toBeLessThanOrEqual(100);
    expect(await value(bench.query("return 1"))).toBe(1);
  });

  test("runs that wait for a server that does not answer hold up nobody", async () => {
    await bench.script(
      "xrpc.query:org.example.run.query",
      `function handle() if params.stall then return http.get('${url("/stall")}') end return 1 end`,
    );
    const stalled = Array.from({ length: 40 }, () => bench.request("/xrpc/org.example.run.query?stall=1"));
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => (await bench.request("/xrpc/org.example.run.query")).json()),
    );
    expect(answers).toEqual(Array(20).fill(1));
    // Those that have not connected yet must not wait for their timeout.
    const hangUp = setInterval(() => server.closeAllConnections(), 20);
    const ended = await Promise.all(stalled).finally(() => clearInterval(hangUp));
    expect(ended.map((response) => response.status)).toEqual(Array(40).fill(500));
  });
});
