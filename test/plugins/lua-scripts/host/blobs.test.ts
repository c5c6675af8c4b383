import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { anonymous } from "../../../../core/http/caller.ts";
import { createBlobs, type RunBlobs } from "../../../../plugins/lua-scripts/host/blobs.ts";
import { createScriptFetch } from "../../../../plugins/lua-scripts/host/outgoing.ts";

// The host of every account: `cid` says how many bytes there are, "away" that there is no such blob.
let server: Server;
let pds: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    const cid = new URL(request.url ?? "", "http://pds").searchParams.get("cid") ?? "";
    if (cid === "away") response.writeHead(404).end();
    else
      response
        .writeHead(200, cid === "5" ? { "content-type": "image/png" } : {})
        .end(Buffer.alloc(Number(cid)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  pds = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => void server.close());

function open(maxHeldBytes?: number): () => RunBlobs {
  const fetch = createScriptFetch({ allow: ["127.0.0.1"], maxResponseBytes: 100 });
  const identity = { pds: async () => pds };
  const blobsOf = createBlobs({ identity, fetch, ...(maxHeldBytes === undefined ? {} : { maxHeldBytes }) });
  return () => blobsOf({ caller: anonymous, nesting: 0 });
}

const context = { signal: new AbortController().signal };
const download = async (run: RunBlobs, cid: string): Promise<unknown> =>
  run.functions["blob.download"]?.(["did:plc:a", cid], context);

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
  const start = open(10);
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
