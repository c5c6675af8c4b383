import type { SourceFile } from "../../core/resources/files.ts";

/** The app of these tests: what it publishes, and the client as which it signs users in. */
export const collection = "xyz.statusphere.status";
export const redirectUri = "http://127.0.0.1:4000/oauth/callback";
export const scopes = "atproto transition:generic";
export const client = {
  name: "Statusphere",
  clientKey: `hvc_${"1".repeat(32)}`,
  clientIdUrl: loopbackClientId(redirectUri),
  clientUri: "http://127.0.0.1:4000",
  redirectUris: [redirectUri],
  scopes,
};

/** The client_id for which a PDS needs no document: everything is in it. */
export function loopbackClientId(redirectUri: string, scope: string = scopes): string {
  return `http://localhost?${new URLSearchParams({ redirect_uri: redirectUri, scope })}`;
}

/** `lexicon("xyz.statusphere.list", "query")`, as it would lie in `lexicons/`. */
export function lexicon(id: string, type: "record" | "query" | "procedure"): SourceFile {
  const main =
    type === "record" ? { type, key: "tid", record: { type: "object", properties: {} } } : { type };
  return { path: `${id}.json`, name: id, text: JSON.stringify({ lexicon: 1, id, defs: { main } }) };
}
