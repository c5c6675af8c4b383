import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { anonymous } from "../../../../core/http/caller.ts";
import { createBlobs, type RunBlobs } from "../../../../plugins/lua-scripts/host/blobs.ts";
import type { JsonValue } from "../../../../plugins/lua-scripts/engine/host.ts";
import { httpAllowance, type HttpUse } from "../../../../plugins/lua-scripts/host/http.ts";
import { createScriptFetch } from "../../../../plugins/lua-scripts/host/outgoing.ts";
import type { PdsSession } from "../../../../plugins/lua-scripts/host/pds.ts";

// The host of every account: `cid` says how many bytes there are, "away" that there is no such blob, and "…-stall" or
// "…-break" that after so many there come no more, or the connection ends.
let server: Server;
let pds: string;
let asked: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    const cid = new URL(request.url ?? "", "http://pds").searchParams.get("cid") ?? "";
    asked.push(cid);
    const [size, end] = cid.split("-");
    if (end !== undefined) {
      response.writeHead(200, { "content-length": "90" }).write(Buffer.alloc(Number(size)));
      if (end === "break") setTimeout(() => response.destroy(), 50);
    } else if (cid === "away") response.writeHead(404).end();
    else
      response
        .writeHead(200, cid === "5" ? { "content-type": "image/png" } : {})
        .end(Buffer.alloc(Number(cid)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  pds = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});
beforeEach(() => {
  asked = [];
});

interface Sizes {
  maxHeldBytes?: number;
  maxKeptBytes?: number;
}

const nothing = (): HttpUse => ({ httpRequests: 0, httpBytes: 0 });

function open(
  sizes: Sizes = {},
  kind: "query" | "job" = "query",
): (used?: HttpUse, session?: PdsSession) => RunBlobs {
  const fetch = createScriptFetch({ allow: ["127.0.0.1"], maxResponseBytes: 100 });
  const identity = { pds: async () => pds };
  const blobsOf = createBlobs({ identity, fetch, ...sizes });
  return (used = nothing(), session = undefined) =>
    blobsOf(
      { caller: anonymous, nesting: 0, ...(session ? { session } : {}) },
      { ...httpAllowance(kind), used },
    );
}

const context = { signal: new AbortController().signal };
const call = async (run: RunBlobs, name: string, ...args: JsonValue[]): Promise<unknown> =>
  run.functions[name]?.(args, context);
const download = async (run: RunBlobs, cid: string, signal = context.signal): Promise<unknown> =>
  run.functions["blob.download"]?.(["did:plc:a", cid], { signal });

test("each blob has its type, or the general one", async () => {
  const run = open()();
  expect(await download(run, "5")).toEqual({ id: 0, mimeType: "image/png", size: 5 });
  expect(await download(run, "7")).toEqual({ id: 1, mimeType: "application/octet-stream", size: 7 });
});

test.each([
  ["away", "blob_download: PDS returned 404"],
  ["101", /blob_download: .*too large/i],
])("a blob that is not to be had: %s", async (cid, message) => {
  await expect(download(open()(), cid)).rejects.toThrow(message);
});

test("runs hold so many bytes together, and give them back when they end", async () => {
  const start = open({ maxHeldBytes: 10 });
  const [first, second] = [start(), start()];
  await download(first, "6");
  await expect(download(second, "5")).rejects.toThrow("scripts hold too many blobs at once");
  await download(second, "4");
  first.release();
  await download(second, "5");
  second.release();
  second.release();
  expect(await download(start(), "10")).toMatchObject({ size: 10 });
});

test("a run keeps so many bytes; older blobs are downloaded anew when they are used", async () => {
  const uploads: [number, string][] = [];
  const session = {
    upload: async (bytes: Uint8Array, type: string) => {
      uploads.push([bytes.length, type]);
      return { status: 200, body: "{}" };
    },
  } as unknown as PdsSession;
  const used = nothing();
  const run = open({ maxHeldBytes: 12, maxKeptBytes: 10 })(used, session);
  for (const cid of ["5", "4", "6"]) await download(run, cid);
  await call(run, "blob.upload", 1);
  await call(run, "blob.upload", 2);
  expect(asked).toEqual(["5", "4", "6"]);
  await Promise.all([call(run, "blob.upload", 0), call(run, "blob.read", 0)]);
  expect(asked).toEqual(["5", "4", "6", "5"]);
  expect(await call(run, "blob.read", 0)).toBe(Buffer.alloc(5).toString("base64"));
  expect(uploads).toEqual([
    [4, "application/octet-stream"],
    [6, "application/octet-stream"],
    [5, "image/png"],
  ]);
  expect(used).toEqual({ httpRequests: 4, httpBytes: 20 });
});

test("a run copies more than all runs may hold", async () => {
  const run = open({ maxHeldBytes: 10 })();
  for (let id = 0; id < 20; id++) expect(await download(run, "6")).toMatchObject({ id, size: 6 });
});

test("a hundred downloads a run; a job copies as many as there are", async () => {
  const [query, job] = [open()(), open({}, "job")()];
  for (let id = 0; id < 100; id++) await download(query, "1");
  await expect(download(query, "1")).rejects.toThrow("a run may make 100 requests");
  for (let id = 0; id < 101; id++) expect(await download(job, "1")).toMatchObject({ id });
});

test("what is being uploaded counts until it is", async () => {
  let finish = (): void => {};
  const uploading = new Promise<void>((resolve) => (finish = resolve));
  const session = {
    upload: async () => uploading.then(() => ({ status: 200, body: "{}" })),
  } as unknown as PdsSession;
  const start = open({ maxHeldBytes: 10 });
  const run = start(nothing(), session);
  await download(run, "6");
  const upload = call(run, "blob.upload", 0);
  await expect(download(run, "5")).rejects.toThrow("scripts hold too many blobs at once");
  run.release();
  await expect(download(start(), "5")).rejects.toThrow("scripts hold too many blobs at once");
  finish();
  await upload;
  expect(await download(start(), "10")).toMatchObject({ size: 10 });
});

test("what arrives counts, and no more when it fails", async () => {
  const start = open({ maxHeldBytes: 10 });
  const [run, used] = [start(), nothing()];
  const abort = new AbortController();
  const stalled = download(start(used), "6-stall", abort.signal);
  await vi.waitFor(() => expect(used.httpBytes).toBe(6));
  await expect(download(run, "5")).rejects.toThrow("scripts hold too many blobs at once");
  abort.abort();
  await expect(stalled).rejects.toThrow("blob_download: ");
  await expect(download(run, "8-break")).rejects.toThrow("blob_download: ");
  await expect(download(run, "11")).rejects.toThrow("scripts hold too many blobs at once");
  expect(await download(run, "10")).toMatchObject({ size: 10 });
});

test("a download that outlives its run holds nothing", async () => {
  const start = open({ maxHeldBytes: 10 });
  const run = start();
  const late = download(run, "6");
  run.release();
  await expect(late).rejects.toThrow("the run is over");
  expect(await download(start(), "10")).toMatchObject({ size: 10 });
});

test("each download is one of the run's HTTP requests", async () => {
  const requests = { httpRequests: 99, httpBytes: 0 };
  const run = open({ maxKeptBytes: 5 })(requests);
  await download(run, "5");
  expect(requests).toEqual({ httpRequests: 100, httpBytes: 5 });
  await expect(download(run, "5")).rejects.toMatchObject({
    message: "HTTP request failed: a run may make 100 requests",
    limit: "httpRequests",
  });
  await expect(download(open()({ httpRequests: 0, httpBytes: 500_000_001 }), "5")).rejects.toMatchObject({
    message: "HTTP request failed: a run may read 500000000 bytes",
    limit: "httpBytes",
  });
  expect(asked).toEqual(["5"]);
});
