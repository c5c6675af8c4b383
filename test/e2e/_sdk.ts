import {
  HappyViewBrowserClient,
  MemoryStorage,
  type HappyViewSession,
} from "@happyview/oauth-client-browser";
import type { Database } from "../../core/db/database.ts";
import { createSecretBox } from "../../core/secret-box.ts";
import { password, type Atmosphere } from "./_atmosphere.ts";
import { encryptionKey } from "./_instance.ts";
import { signIn } from "./_sign-in.ts";
import { client, redirectUri, scopes } from "./_statusphere.ts";

/** The published SDK of a device, whose look-ups go to the directory of this atmosphere. */
export function openSdk(
  instanceUrl: string,
  { plc }: Pick<Atmosphere, "plc">,
  ask: typeof fetch = fetch,
): HappyViewBrowserClient {
  return new HappyViewBrowserClient({
    instanceUrl,
    clientId: client.clientIdUrl,
    clientKey: client.clientKey,
    redirectUri,
    scopes,
    storage: new MemoryStorage(),
    fetch: (input, init) => {
      const url = String(input instanceof Request ? input.url : input);
      return ask(url.replace("https://plc.directory", plc.url), init);
    },
  });
}

/** On the PDS's own page; the user consents to all scopes that the app asks for, or to those that are given. */
export async function signInAs(
  sdk: HappyViewBrowserClient,
  name: string,
  { dids }: Pick<Atmosphere, "dids">,
  consents?: string,
): Promise<HappyViewSession> {
  const { authorizationUrl } = await sdk.prepareLogin(dids[name] ?? "");
  return sdk.callback(await signIn(authorizationUrl, { name: `${name}.test`, password, consents }));
}

/** By the procedure `xyz.statusphere.set`, of another server than the SDK's where one is named. */
export function writeStatus(session: HappyViewSession, status: string, server = ""): Promise<Response> {
  return session.fetchHandler(`${server}/xrpc/xyz.statusphere.set`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ status, createdAt: new Date().toISOString() }),
  });
}

/** Breaks the stored access tokens: the PDS answers `invalid_token`, as it does for one that has run out. */
export async function spoilTokens(db: Database, key: string = encryptionKey): Promise<void> {
  const box = createSecretBox(key);
  const rows = await db.all<{ id: string; access_token_enc: Uint8Array }>(
    "SELECT id, access_token_enc FROM happyview_dpop_sessions",
  );
  for (const { id, access_token_enc } of rows) {
    const [head, body, signature = ""] = box.openBytes(access_token_enc).split(".");
    const spoiled = box.sealBytes(`${head}.${body}.${signature.split("").toReversed().join("")}`);
    await db.run("UPDATE happyview_dpop_sessions SET access_token_enc = ? WHERE id = ?", [spoiled, id]);
  }
}
