import type { JetstreamV2 } from "./jetstream-v2.ts";
import { dictionary, dictionaryId } from "./jetstream-v2-dictionary.ts";
import type { PlanRequest } from "./jetstream-v2-archive.ts";
import { jsonReply, type Reply, type ServiceRequest } from "./service.ts";
import type { XrpcMethods } from "./xrpc.ts";
import { XrpcError } from "./xrpc-error.ts";

type Served = Pick<JetstreamV2, "store" | "plan" | "generation" | "archiveKey">;

const nsid = (name: string): string => `network.bsky.jetstream.${name}`;

/** What a Jetstream answers over HTTP (jetstream §3). */
export function archiveMethods(server: Served): XrpcMethods {
  const { store } = server;
  const authorized = (request: ServiceRequest): void => {
    if (server.archiveKey !== undefined && request.header("authorization") !== `Bearer ${server.archiveKey}`)
      throw new XrpcError(401, "AuthenticationRequired", "an API key is required");
  };
  const planner = server.generation === "launched" ? "planSnapshot" : "planBackfill";
  return {
    queries: {
      [nsid("listSegments")]: ({ params }) => listSegments(store, params),
      [nsid("getSegment")]: (request) => {
        authorized(request);
        const { bytes, checksum } = store.find(request.params.get("name"));
        return partOf(request, bytes, `"${checksum}"`);
      },
      [nsid("getBlock")]: (request) => {
        authorized(request);
        const { blocks, checksum } = store.find(request.params.get("segment"));
        const index = Number(request.params.get("blockIndex"));
        const block = blocks[index];
        if (!block) throw new XrpcError(404, "BlockNotFound", `no such block: ${index}`);
        return partOf(request, block.frame, `"${checksum}:${index}"`);
      },
      [nsid("getZstdDictionary")]: ({ params }) => {
        if (params.has("id") && params.get("id") !== String(dictionaryId))
          throw new XrpcError(404, "DictionaryNotFound", "no such dictionary");
        const headers = {
          "content-type": "application/octet-stream",
          "x-zstd-dictionary-id": String(dictionaryId),
          etag: `"zstd-dict-${dictionaryId}"`,
        };
        return { headers, body: dictionary };
      },
    },
    procedures: {
      async [nsid(planner)](request) {
        authorized(request);
        const body = await request.json();
        return jsonReply(
          store.plan(server.generation === "launched" ? body : withoutKinds(body), server.plan),
        );
      },
    },
  };
}

/** The preview ignores what it does not know (jetstream §3.1). */
function withoutKinds({ kinds: _kinds, ...request }: PlanRequest): PlanRequest {
  return request;
}

function listSegments({ segments }: Served["store"], params: URLSearchParams): Reply {
  const limit = Math.min(Number(params.get("limit") ?? 100), 1000);
  const from = Number(params.get("cursor") ?? 0);
  const page = segments.slice(from, from + limit).map((segment) => {
    const { name, index, checksum, minSeq, maxSeq, minWitnessedAt, maxWitnessedAt, bytes, blocks } = segment;
    const eventCount = blocks.reduce((sum, { rows }) => sum + rows.length, 0);
    const sizeBytes = bytes.length;
    return { name, index, sizeBytes, checksum, eventCount, minSeq, maxSeq, minWitnessedAt, maxWitnessedAt };
  });
  const next = from + page.length;
  return jsonReply({ segments: page, ...(next < segments.length ? { cursor: String(next) } : {}) });
}

/** The whole, or the range that was asked for, unless it was to be of another generation. */
function partOf(request: ServiceRequest, body: Buffer, etag: string): Reply {
  const headers = {
    "content-type": "application/octet-stream",
    "cache-control": "public, no-cache",
    "accept-ranges": "bytes",
    etag,
  };
  if (request.header("if-none-match") === etag) return { status: 304, headers, body: "" };
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.header("range") ?? "");
  const condition = request.header("if-range");
  if (!range || (condition !== undefined && condition !== etag)) return { headers, body };
  const first = Number(range[1]);
  const last = Math.min(range[2] ? Number(range[2]) : Infinity, body.length - 1);
  if (first > last)
    return { status: 416, headers: { ...headers, "content-range": `bytes */${body.length}` }, body: "" };
  return {
    status: 206,
    headers: { ...headers, "content-range": `bytes ${first}-${last}/${body.length}` },
    body: body.subarray(first, last + 1),
  };
}
