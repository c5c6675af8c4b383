import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { startBench } from "./_bench.ts";

test("a query for which there is no room is told so, and the operator too", async () => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    silent.close();
    silent.closeAllConnections();
  });
  const { port } = silent.address() as AddressInfo;
  const bench = await startBench({ workers: 1, http: { allow: ["127.0.0.1"] } });
  const id = "org.example.run.query";
  await bench.script(`xrpc.query:${id}`, `function handle() http.get("http://127.0.0.1:${port}") end`);
  // One thread holds 64, and a thousand may wait.
  const asked = Array.from({ length: 1100 }, () => bench.request(`/xrpc/${id}`));
  const refused = await Promise.any(
    asked.map(async (answer) => {
      const { status, headers } = await answer;
      if (status !== 503) throw new Error(`${status}`);
      return { retryAfter: headers.get("retry-after"), body: await (await answer).json() };
    }),
  );
  expect(refused).toEqual({
    retryAfter: "1",
    body: {
      error: "script_error",
      errorType: "unavailable",
      message: "the server has no room for this script now",
      method: id,
      line: null,
    },
  });
  // One of them, for a second: a flood of requests is none of events.
  expect(bench.events.filter(({ type }) => type === "script.error")).toMatchObject([
    {
      subject: `xrpc.query:${id}`,
      detail: { method: id, error: "[lua-scripts] too many scripts are waiting" },
    },
  ]);
});
