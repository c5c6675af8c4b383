import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { httpAllowance, httpFunctions } from "../../../../plugins/lua-scripts/host/http.ts";
import { createScriptFetch } from "../../../../plugins/lua-scripts/host/outgoing.ts";

// In a file of its own: undici keeps the timer of its first request, which must be one of ours.
test("a request of a job waits ten minutes, which is more than the runtime does on its own", async () => {
  expect(httpAllowance("record").timeoutMs).toBe(30_000);
  expect(httpAllowance("query", 5000).timeoutMs).toBe(5000);
  expect(httpAllowance("job", 5000).timeoutMs).toBe(600_000);
  expect(httpAllowance("job", 900_000).timeoutMs).toBe(900_000);
  const asked = Promise.withResolvers<() => void>();
  const server = createServer((_request, response) => asked.resolve(() => void response.end("late")));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  onTestFinished(() => {
    vi.useRealTimers();
    server.closeAllConnections();
    server.close();
  });
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const functions = httpFunctions(createScriptFetch({ allow: ["*"] }), httpAllowance("job"));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const answer = Promise.resolve(
    functions["http.request"]?.([{ method: "get", url, headers: {} }], {
      signal: new AbortController().signal,
    }),
  );
  const ended = answer.catch((error: unknown) => error);
  const end = await asked.promise;
  await vi.advanceTimersByTimeAsync(599_000);
  end();
  expect(await ended).toMatchObject({ status: 200, body: "late" });
});
