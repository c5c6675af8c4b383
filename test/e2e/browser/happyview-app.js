// What a developer would write with HappyView's published SDKs, unmodified. It runs in the browser.
import { createAgent } from "@happyview/lex-agent";
import { HappyViewBrowserClient } from "@happyview/oauth-client-browser";

const { instanceUrl, clientId, clientKey, redirectUri, scopes, plcUrl } = globalThis.config;

const client = new HappyViewBrowserClient({
  instanceUrl,
  clientId,
  clientKey,
  redirectUri,
  scopes,
  // It looks DIDs up in the public directory; this network has its own.
  fetch: (input, init) => fetch(String(input.url ?? input).replace("https://plc.directory", plcUrl), init),
});

/** The one that the PDS's callback brings, or that this browser keeps. */
let session = (await client.init())?.session;

globalThis.app = {
  did: () => session?.did ?? null,
  signIn: (did) => client.signIn(did),
  async call(path, body) {
    const headers = { "content-type": "application/json" };
    const init = body === undefined ? {} : { method: "POST", headers, body: JSON.stringify(body) };
    const response = await createAgent(session).fetchHandler(path, init);
    return { status: response.status, body: await response.json().catch(() => null) };
  },
  signOut: () => session.signOut(),
};
