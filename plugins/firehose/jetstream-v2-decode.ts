import { isValidTid } from "@atproto/syntax";
import {
  decodeAccount,
  decodeCommit,
  decodeIdentity,
  isCount,
  isObject,
  parseJson,
  parseMicros,
  words,
  type Decoded,
} from "./decode.ts";

const subscription = "network.bsky.jetstream.subscribeEvents";

export type V2Message =
  | (Exclude<Decoded, { kind: "malformed" }> & { seq: number })
  | { kind: "info"; name: string; message: string }
  | { kind: "error"; name: string; message: string }
  /** Of a newer server: nothing that we know. */
  | { kind: "unknown" }
  | { kind: "malformed"; reason: string };

/** A frame of `network.bsky.jetstream.subscribeEvents`, as text (jetstream §2.2). Never throws. */
export function decodeV2(text: string): V2Message {
  let frame: unknown;
  try {
    frame = parseJson(text);
  } catch (error) {
    return malformed(error instanceof Error ? error.message : String(error));
  }
  if (!isObject(frame)) return malformed("not an object");
  const { $type, error, message, payload } = frame;
  if (typeof $type !== "string") return malformed("no $type: this is another endpoint than subscribeEvents");
  if ($type === "error") return { kind: "error", name: words(error), message: words(message) };
  if ($type !== "message") return { kind: "unknown" };
  if (!isObject(payload) || typeof payload["$type"] !== "string")
    return malformed("a message without a payload");
  return decodePayload(payload["$type"], payload);
}

function decodePayload(type: string, payload: Record<string, unknown>): V2Message {
  if (type === `${subscription}#info`)
    return { kind: "info", name: words(payload["name"]), message: words(payload["message"]) };
  const decode = decoders.get(type);
  const { seq, did } = payload;
  const timeUs = parseMicros(payload["time"]);
  if (!decode) return isCount(seq) && seq > 0 ? { kind: "skipped", timeUs, seq } : { kind: "unknown" };
  if (!isCount(seq) || seq === 0 || timeUs === undefined) return malformed("no seq or no time");
  if (typeof did !== "string" || did.length > 2048) return malformed("no did");
  const decoded = decode(did, timeUs, payload);
  return decoded.kind === "malformed" ? decoded : { ...decoded, seq };
}

type Decoder = (did: string, timeUs: number, payload: Record<string, unknown>) => Decoded;

const decoders = new Map<string, Decoder>([
  [`${subscription}#commit`, decodeCommit],
  [`${subscription}#account`, (did, timeUs, { account }) => decodeAccount(did, timeUs, account)],
  [`${subscription}#identity`, (did, timeUs, { identity }) => decodeIdentity(did, timeUs, identity)],
  [`${subscription}#sync`, (did, timeUs, { sync }) => decodeSync(did, timeUs, sync)],
]);

/** The server sends it for repos that it has read anew, and what they have now right after it. */
function decodeSync(did: string, timeUs: number, sync: unknown): Decoded {
  const rev = isObject(sync) ? sync["rev"] : undefined;
  if (typeof rev !== "string" || !isValidTid(rev))
    return { kind: "malformed", reason: "a sync without a rev" };
  return { kind: "event", timeUs, event: { kind: "sync", did, rev } };
}

function malformed(reason: string): V2Message {
  return { kind: "malformed", reason };
}
