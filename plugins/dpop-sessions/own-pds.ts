import { HttpError, reply, type PluginApp } from "../../core/index.ts";
import { isObject } from "../../core/lexicons/document.ts";
import type { OwnPds } from "../../core/xrpc/dispatch.ts";
import { requireGranted } from "./granted.ts";
import { indexWrites } from "./indexed.ts";
import { repoWritesOf } from "./repo-writes.ts";
import type { Targets } from "./targets.ts";
import { signedIn } from "./writes.ts";

export interface OwnPdsParts {
  app: Pick<PluginApp, "identity" | "records" | "log">;
  own: Targets["own"];
}

/** What the app says to services behind the PDS, and they to it. */
const sentOn = ["atproto-proxy", "atproto-accept-labelers"];
const passedBack = ["atproto-repo-rev", "atproto-content-labelers"];

/** Calls the caller's own PDS with its session, for methods that this instance does not serve (sync-and-xrpc §4.9). */
export function createOwnPds({ app, own }: OwnPdsParts): OwnPds {
  return async ({ nsid, type, query, caller, request, input, inputText }) => {
    const { did, scopes, call } = await own({ caller }, nsid);
    await requireOwnRepo(input, did, app);
    const writes = repoWritesOf(nsid, input);
    requireGranted(scopes, { nsid, writes, proxy: request.headers.get("atproto-proxy") });
    const headers = Object.fromEntries(
      sentOn.flatMap((name) => {
        const value = request.headers.get(name);
        return value === null ? [] : [[name, value]];
      }),
    );
    const answer = await signedIn(
      () =>
        call({
          method: type === "query" ? "GET" : "POST",
          path: query ? `${nsid}?${query}` : nsid,
          headers,
          ...(type === "query"
            ? {}
            : { contentType: "application/json", body: inputText ?? JSON.stringify(input ?? {}) }),
        }),
      app,
    );
    const rev = answer.status < 300 ? await indexWrites(did, writes, answer.body, app) : undefined;
    return reply(answer.status, answer.bytes, {
      ...Object.fromEntries(
        passedBack.flatMap((name) => {
          const value = answer.headers.get(name);
          return value === null ? [] : [[name, value]];
        }),
      ),
      ...(rev === undefined ? {} : { "atproto-repo-rev": rev }),
      "content-type": answer.headers.get("content-type") ?? "application/json",
    });
  };
}

/** @throws HttpError 400 for an input that names the repo of another account */
async function requireOwnRepo(
  input: unknown,
  did: string,
  { identity }: Pick<PluginApp, "identity">,
): Promise<void> {
  const repo = isObject(input) ? input["repo"] : undefined;
  if (repo === undefined || repo === did) return;
  const handle = await identity.resolve(did).then(
    (known) => known.handle,
    () => null,
  );
  if (handle !== null && String(repo).toLowerCase() === handle.toLowerCase()) return;
  throw new HttpError(
    400,
    `repo '${String(repo).slice(0, 300)}' is not the caller's: writes go to ${did}; to write for another account, use a procedure with delegateDid`,
  );
}
