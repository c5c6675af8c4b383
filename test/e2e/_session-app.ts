/** The app that signs users in, as the config of the servers declares it. */
export const collection = "xyz.statusphere.status";
export const redirectUri = "http://127.0.0.1:4000/oauth/callback";
export const scopes = "atproto transition:generic";
export const app = {
  name: "Statusphere",
  clientKey: `hvc_${"1".repeat(32)}`,
  clientIdUrl: `http://localhost?redirect_uri=${encodeURIComponent(redirectUri)}&scope=${encodeURIComponent(scopes)}`,
  clientUri: "http://127.0.0.1:4000",
  redirectUris: [redirectUri],
  scopes,
};
