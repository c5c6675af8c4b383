import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { oauth } from "../../plugins/oauth/index.ts";
import { users } from "../../plugins/users/index.ts";
import { adminHeaders, startApp, type TestApp } from "../setup/app.ts";
import { databases } from "../setup/databases.ts";
import { jsonBody } from "../suites/http/subject.ts";
import { password, startPublicAtmosphere, type Atmosphere } from "./_atmosphere.ts";
import { encryptionKey } from "./_instance.ts";
import { signIn } from "./_sign-in.ts";

// Signing in to the admin API as in production: everybody is at an https URL, and the instance proves itself by its key.
const host = "appview.statusphere.net";
const base = `https://${host}`;
const otherHost = "second.statusphere.net";
const pdsUrl = "https://pds.statusphere.net";
const direct = globalThis.fetch;
let atmosphere: Atmosphere;
let app: TestApp;
let did: string;

/** What the authorization server was asked, by path. */
const asked: { path: string; form: URLSearchParams }[] = [];

beforeAll(async () => {
  atmosphere = await startPublicAtmosphere(new URL(pdsUrl).host, "carol");
  did = atmosphere.dids["carol"] ?? "";
  leadTo({
    [base]: ourselves,
    [`https://${otherHost}`]: ourselves,
    [pdsUrl]: (request) => forward(request, atmosphere.pds.url),
    "https://plc.statusphere.net": (request) => forward(request, atmosphere.plc.url),
  });
  const [sqlite] = databases();
  app = await startApp(
    sqlite!,
    { plugins: [users(), oauth()] },
    {
      env: {
        PUBLIC_URL: base,
        PLC_URL: "https://plc.statusphere.net",
        SESSION_SECRET: "a secret of at least thirty-two characters",
        TOKEN_ENCRYPTION_KEY: encryptionKey,
      },
    },
  );
});

afterAll(async () => {
  vi.restoreAllMocks();
  await app?.stop();
  await atmosphere?.close();
});

/** In the place of DNS and TLS: requests for an origin go where it leads. */
function leadTo(places: Record<string, (request: Request) => Promise<Response>>): void {
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const request = new Request(input, init);
    const go = places[new URL(request.url).origin];
    return go ? go(request) : direct(input, init);
  });
}

function ourselves(request: Request): Promise<Response> {
  const { host, pathname } = new URL(request.url);
  return app.request(pathname, { headers: { host } });
}

async function forward(request: Request, to: string): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  const body = request.method === "GET" ? undefined : await request.text();
  if (body !== undefined) asked.push({ path: pathname, form: new URLSearchParams(body) });
  const { method, headers, redirect } = request;
  return direct(to + pathname + search, {
    method,
    headers,
    redirect,
    ...(body === undefined ? {} : { body }),
  });
}

const ask = (path: string, init: RequestInit = {}, at = host): Promise<Response> =>
  app.request(path, { ...init, headers: { ...(init.headers as Record<string, string>), host: at } });

const setCookie = (response: Response): string => response.headers.get("set-cookie") ?? "";
const pairOf = (response: Response): string => setCookie(response).split(";", 1)[0] ?? "";

/** Ends with the answer to the way back; the browser holds a cookie already, or none. */
async function login(held = "", at = host): Promise<Response> {
  const begun = await ask(`/auth/login?handle=${did}`, { headers: { cookie: held } }, at);
  expect(begun.status).toBe(200);
  expect(setCookie(begun)).toMatch(/; Path=\/; HttpOnly; SameSite=Lax; Secure; Max-Age=600$/);
  const { url } = (await begun.json()) as { url: string };
  expect(url).toMatch(/^https:\/\/pds\.statusphere\.net\/oauth\/authorize\?/);
  const back = await signIn(url, { name: "carol.test", password, at: atmosphere.pds.url });
  return ask(`/auth/callback${back}`, { headers: { cookie: `${held}; ${pairOf(begun)}` } }, at);
}

const status = async (cookie: string): Promise<number> =>
  (await ask("/admin/users", { headers: { cookie } })).status;

test("the metadata names the public half of a key, with which the instance signs every request for tokens", async () => {
  const metadata = (await (await ask("/oauth-client-metadata.json")).json()) as {
    jwks: { keys: Record<string, unknown>[] };
  };
  expect(metadata).toMatchObject({
    client_id: `${base}/oauth-client-metadata.json`,
    token_endpoint_auth_method: "private_key_jwt",
    token_endpoint_auth_signing_alg: "ES256",
  });
  const [key = {}] = metadata.jwks.keys;
  expect(key).toMatchObject({ kty: "EC", crv: "P-256" });
  expect(key).not.toHaveProperty("d");

  asked.length = 0;
  const answer = await login();
  expect([answer.status, answer.headers.get("location")]).toEqual([303, `${base}/dashboard/`]);
  expect(asked.map(({ path }) => path)).toEqual(expect.arrayContaining(["/oauth/par", "/oauth/token"]));
  for (const { path, form } of asked) {
    expect([path, form.get("client_assertion_type")]).toEqual([
      path,
      "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    ]);
    const [head = ""] = (form.get("client_assertion") ?? "").split(".");
    expect(JSON.parse(Buffer.from(head, "base64url").toString())).toMatchObject({
      alg: "ES256",
      kid: key["kid"],
    });
  }
});

test("the cookie goes by https alone; who signs in again gets another, and the one that he had is worth nothing", async () => {
  const first = await login();
  expect(setCookie(first)).toMatch(
    /^happyview_session=[\w-]+\.[\w-]+; Path=\/; HttpOnly; SameSite=Lax; Secure; Max-Age=1209600$/,
  );
  expect(await status(pairOf(first))).toBe(200);
  const other = await login(); // in another browser
  const second = await login(pairOf(first));
  expect(pairOf(second)).not.toBe(pairOf(first));
  expect(await status(pairOf(second))).toBe(200);
  expect(await status(pairOf(first))).toBe(401);
  expect(await status(pairOf(other))).toBe(200);
});

test("signing out ends the grant at the PDS, as the client of the domain on which it began", async () => {
  const added = await ask("/admin/domains", jsonBody("POST", { url: `https://${otherHost}` }, adminHeaders));
  expect(added.status).toBe(201);
  for (const at of [host, otherHost]) {
    const cookie = pairOf(await login("", at));
    asked.length = 0;
    expect((await ask("/auth/logout", { method: "POST", headers: { cookie } }, at)).status).toBe(200);
    const [{ path, form } = { path: "", form: new URLSearchParams() }] = asked;
    expect([path, form.get("client_id")]).toEqual([
      "/oauth/revoke",
      `https://${at}/oauth-client-metadata.json`,
    ]);
    const provider = atmosphere.pds.ctx.oauthProvider;
    expect(await provider?.tokenManager.findToken(form.get("token") ?? "")).toBeNull();
    expect((await ask("/admin/users", { headers: { cookie } }, at)).status).toBe(401);
  }
});
