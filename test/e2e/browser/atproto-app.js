// An app of the AT Protocol's own SDK, which knows nothing of HappyView. It runs in the browser.
import { BrowserOAuthClient } from "@atproto/oauth-client-browser";

const { clientId, redirectUri, scopes, pdsUrl, plcUrl } = globalThis.config;

const client = new BrowserOAuthClient({
  handleResolver: pdsUrl,
  plcDirectoryUrl: plcUrl,
  allowHttp: true,
  clientMetadata: {
    client_id: clientId,
    redirect_uris: [redirectUri],
    scope: scopes,
    response_types: ["code"],
    grant_types: ["authorization_code", "refresh_token"],
    token_endpoint_auth_method: "none",
    application_type: "native",
    dpop_bound_access_tokens: true,
  },
});

const session = (await client.init())?.session;

globalThis.app = {
  did: () => session?.did ?? null,
  signIn: (did) => client.signIn(did),
  async call(path) {
    const response = await session.fetchHandler(path);
    return { status: response.status, body: await response.json() };
  },
  signOut: () => session.signOut(),
};
