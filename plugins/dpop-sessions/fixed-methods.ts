import type { PluginApp, XrpcCall } from "../../core/index.ts";
import { isObject } from "../../core/lexicons/document.ts";
import { withBlob } from "./blob-room.ts";
import type { Target } from "./writes.ts";
import { passOn, signedIn } from "./writes.ts";

/** Methods of the caller's own account (sync-and-xrpc §4.7). */
export function fixedMethods(
  { xrpc, identity, log }: Pick<PluginApp, "xrpc" | "identity" | "log">,
  own: (call: XrpcCall, method: string) => Promise<Target>,
): void {
  xrpc.method("com.atproto.repo.uploadBlob", {
    type: "procedure",
    readsBody: true,
    async handle(call) {
      const target = await own(call, "uploadBlob");
      const contentType = call.request.headers.get("content-type") ?? "application/octet-stream";
      const path = "com.atproto.repo.uploadBlob";
      return withBlob(call.request, async (body) => {
        const upload = { method: "POST", path, contentType, body, isUpload: true } as const;
        return passOn(await signedIn(() => target.call(upload), { log }));
      });
    },
  });
  xrpc.method("app.bsky.actor.getProfile", {
    type: "query",
    async handle(call) {
      const { did, call: callPds } = await own(call, "getProfile");
      const [{ handle }, pds] = await Promise.all([identity.resolve(did), identity.pds(did)]);
      const query = new URLSearchParams({ repo: did, collection: "app.bsky.actor.profile", rkey: "self" });
      const answer = await callPds({ method: "GET", path: `com.atproto.repo.getRecord?${query}` }).catch(
        () => undefined,
      );
      return {
        did,
        handle: handle ?? did,
        ...profileOf(answer?.status === 200 ? answer.body : "", did, pds),
      };
    },
  });
}

/** What a profile record adds; nothing where there is none. */
function profileOf(body: string, did: string, pds: string): Record<string, unknown> {
  const value = parse(body);
  const record = isObject(value) && isObject(value["value"]) ? value["value"] : {};
  const profile: Record<string, unknown> = {};
  for (const name of ["displayName", "description"])
    if (typeof record[name] === "string") profile[name] = record[name];
  const avatar = isObject(record["avatar"]) ? record["avatar"] : undefined;
  const link = avatar && isObject(avatar["ref"]) ? avatar["ref"]["$link"] : undefined;
  if (!avatar || typeof link !== "string") return profile;
  const query = new URLSearchParams({ did, cid: link });
  return {
    ...profile,
    avatarURL: `${pds}/xrpc/com.atproto.sync.getBlob?${query}`,
    avatar: { $link: link, mimeType: avatar["mimeType"], size: avatar["size"] },
  };
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
