import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { HappyViewError } from "../../../core/errors.ts";
import { RefusedAnswer } from "../../../core/http/answer.ts";
import { createOutgoingFetch } from "../../../core/http/outgoing.ts";
import { getJson, xrpcUrl } from "../../../plugins/backfill/answer.ts";
import { FetchError, toFailure } from "../../../plugins/backfill/failure.ts";

const { signal } = new AbortController();
const fetch = createOutgoingFetch({ allowPrivate: true, timeoutMs: 200, maxResponseBytes: 1000 });

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((go) => server.listen(0, "127.0.0.1", go));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // a TCP server that listens
}

async function failureOf(url: string, { fetch: own = fetch, ending = signal } = {}) {
  const error = await getJson(own, url, ending).then(
    () => expect.fail("it answers"),
    (error: unknown) => error,
  );
  return toFailure(error);
}

const refused = (status: number, error = "", detail = ""): RefusedAnswer =>
  new RefusedAnswer("https://a.test/xrpc/x", { status, error, detail });
const identity = (code: "IDENTITY_UNRESOLVED" | "IDENTITY_UNREACHABLE", cause?: unknown): HappyViewError =>
  new HappyViewError(code, { message: "did:plc:x cannot be resolved", cause });

describe("an answer that says no", () => {
  test.each([
    [429, "RateLimitExceeded", "", "rate_limited", true],
    [500, "InternalServerError", "", "pds_server_error", true],
    [502, "", "", "pds_server_error", true],
    [408, "", "", "pds_server_error", true],
    [400, "InvalidRequest", "Could not find repo: did:plc:x", "repo_not_found", false],
    [400, "RepoNotFound", "", "repo_not_found", false],
    [400, "RepoDeactivated", "", "repo_deactivated", false],
    [400, "RepoTakendown", "", "repo_takendown", false],
    [400, "RepoSuspended", "", "repo_takendown", false],
    [403, "", "", "other", false],
    [404, "", "", "other", false],
  ])("%i %s %s", (status, error, detail, kind, retryable) => {
    expect(toFailure(refused(status, error, detail))).toMatchObject({ kind, retryable });
  });

  test("carries what the server asks to wait", () => {
    const error = new RefusedAnswer("https://a.test", { status: 429, waitMs: 4000 });
    expect(toFailure(new Error("outside", { cause: error }))).toMatchObject({
      kind: "rate_limited",
      waitMs: 4000,
    });
  });
});

describe("a DID that cannot be looked up", () => {
  test.each([
    ["404", identity("IDENTITY_UNRESOLVED", refused(404)), "did_doc_not_found", false],
    ["410", identity("IDENTITY_UNRESOLVED", refused(410)), "did_doc_not_found", false],
    ["403", identity("IDENTITY_UNRESOLVED", refused(403)), "did_doc_forbidden", false],
    ["400", identity("IDENTITY_UNRESOLVED", refused(400)), "did_doc_invalid", false],
    ["no usable document", identity("IDENTITY_UNRESOLVED"), "did_doc_invalid", false],
    ["500", identity("IDENTITY_UNREACHABLE", refused(500)), "pds_server_error", true],
    ["429", identity("IDENTITY_UNREACHABLE", refused(429)), "rate_limited", true],
    [
      "no JSON",
      identity("IDENTITY_UNREACHABLE", new SyntaxError("Unexpected token")),
      "invalid_response",
      true,
    ],
  ])("because of %s", (_, error, kind, retryable) => {
    expect(toFailure(error)).toMatchObject({ kind, retryable });
  });
});

describe("a host", () => {
  test("that refuses the connection", async () => {
    const server = createServer();
    await new Promise<void>((go) => server.listen(0, "127.0.0.1", go));
    const { port } = server.address() as AddressInfo; // a TCP server that listens
    await new Promise((go) => server.close(go));
    expect(await failureOf(`http://127.0.0.1:${port}`)).toMatchObject({
      kind: "connection_failed",
      retryable: true,
    });
  });

  test("that cuts the connection", async () => {
    const url = await serve((request) => request.socket.destroy());
    expect(await failureOf(url)).toMatchObject({ kind: "connection_failed", retryable: true });
  });

  test("that has no address", async () => {
    expect(await failureOf("http://nobody.invalid")).toMatchObject({ kind: "dns_failure", retryable: true });
  });

  test("that does not answer in time", async () => {
    const url = await serve(() => {});
    expect(await failureOf(url)).toMatchObject({ kind: "timeout", retryable: true });
  });

  test("that stops in mid-answer", async () => {
    const url = await serve((_, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write('{"records":');
    });
    expect(await failureOf(url)).toMatchObject({ kind: "timeout", retryable: true });
  });

  test("that announces more than it sends", async () => {
    const url = await serve((_, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write('{"records":', () => response.destroy());
    });
    expect(await failureOf(url)).toMatchObject({ kind: "connection_failed", retryable: true });
  });

  test.each([
    ["something that is not JSON", "<html>"],
    ["half of a JSON object", '{"records":['],
    ["a list", "[1]"],
    ["a text", '"hello"'],
    ["null", "null"],
  ])("that answers with %s", async (_, body) => {
    const url = await serve((_, response) => response.end(body));
    expect(await failureOf(url)).toMatchObject({ kind: "invalid_response", retryable: true });
  });

  test("that answers with too much", async () => {
    const url = await serve((_, response) => response.end(JSON.stringify({ text: "x".repeat(2000) })));
    expect(await failureOf(url)).toMatchObject({ kind: "invalid_response" });
  });

  test("that redirects, to wherever", async () => {
    let asked = 0;
    const inside = await serve((_, response) => {
      asked += 1;
      response.end("{}");
    });
    const url = await serve((_, response) => response.writeHead(302, { location: inside }).end());
    expect(await failureOf(url)).toMatchObject({ kind: "other", retryable: false });
    expect(asked).toBe(0);
  });

  test("with a private address, where that is not allowed", async () => {
    let asked = 0;
    const url = await serve((_, response) => {
      asked += 1;
      response.end("{}");
    });
    const strict = createOutgoingFetch({ timeoutMs: 200 });
    for (const address of [
      url,
      url.replace("http:", "https:"),
      url.replace("127.0.0.1", "localhost").replace("http:", "https:"),
    ])
      expect(await failureOf(address, { fetch: strict })).toMatchObject({ kind: "other", retryable: false });
    expect(asked).toBe(0);
  });
});

test("an error of our own keeps its kind, however deep it is", () => {
  const error = new Error("a", {
    cause: new Error("b", { cause: new FetchError("repo_invalid", "no root") }),
  });
  expect(toFailure(error)).toMatchObject({ kind: "repo_invalid", retryable: true });
});

test("a cause that is its own cause ends", () => {
  const error = new Error("a");
  error.cause = error;
  expect(toFailure(error)).toMatchObject({ kind: "other" });
});

test("a message has 220 characters at most", () => {
  const { message } = toFailure(new FetchError("other", "x".repeat(500)));
  expect(message).toBe(`${"x".repeat(219)}…`);
  expect(toFailure(new FetchError("other", "y".repeat(220))).message).toBe("y".repeat(220));
});

test("the URL of a request has what was given", () => {
  expect(
    xrpcUrl("https://a.test", "com.example.get", { repo: "did:plc:x", cursor: undefined, collection: "a b" }),
  ).toBe("https://a.test/xrpc/com.example.get?repo=did%3Aplc%3Ax&collection=a+b");
});
