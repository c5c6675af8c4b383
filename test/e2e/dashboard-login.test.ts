import { afterAll, beforeAll, expect, it } from "vitest";
import { oauth } from "../../plugins/oauth/index.ts";
import { users } from "../../plugins/users/index.ts";
import { password, startAtmosphere, type Atmosphere } from "./_atmosphere.ts";
import { startInstance, type Instance } from "./_instance.ts";
import { signIn } from "./_sign-in.ts";

// Signing in to the admin API on the published PDS's own page.
let atmosphere: Atmosphere;
let instance: Instance;
let base: string;
let dids: Atmosphere["dids"];

beforeAll(async () => {
  atmosphere = await startAtmosphere("carol", "dave");
  ({ dids } = atmosphere);
  instance = await startInstance(
    atmosphere,
    { plugins: [users(), oauth()] },
    { env: { SESSION_SECRET: "a secret of at least thirty-two characters" } },
  );
  base = instance.url;
});

afterAll(async () => {
  await instance?.close();
  await atmosphere?.close();
});

interface Begun {
  url: string;
  /** What the browser that began holds from then on. */
  cookie: string;
}

async function begin(name: string, query = "", held = ""): Promise<Begun> {
  const begun = await fetch(`${base}/auth/login?handle=${dids[name]}${query}`, { headers: { cookie: held } });
  expect(begun.status).toBe(200);
  expect(begun.headers.get("set-cookie")).toMatch(
    /^happyview_login=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=600$/,
  );
  return { url: ((await begun.json()) as { url: string }).url, cookie: cookieOf(begun) };
}

function comeBack(query: string, cookie: string): Promise<Response> {
  return fetch(`${base}/auth/callback${query}`, { redirect: "manual", headers: { cookie } });
}

/** Ends where the browser would: the answer to the way back. */
async function signInAs(name: string, query = ""): Promise<Response> {
  const { url, cookie } = await begin(name, query);
  return comeBack(await signIn(url, { name: `${name}.test`, password }), cookie);
}

function cookieOf(response: Response): string {
  return response.headers.get("set-cookie")?.split(";", 1)[0] ?? "";
}

async function status(path: string, cookie: string, init: RequestInit = {}): Promise<number> {
  const response = await fetch(base + path, { ...init, headers: { ...init.headers, cookie } });
  await response.arrayBuffer();
  return response.status;
}

it("the first account that signs in becomes super user; others are sent away until they are users", async () => {
  const first = await signInAs("carol", `&redirect_uri=${encodeURIComponent(`${base}/dashboard/lexicons`)}`);
  expect([first.status, first.headers.get("location")]).toEqual([303, `${base}/dashboard/lexicons`]);
  expect(first.headers.get("set-cookie")).toMatch(/HttpOnly; SameSite=Lax/);
  const carol = cookieOf(first);
  expect(await status("/admin/users", carol)).toBe(200);

  const refused = await signInAs("dave");
  expect(refused.headers.get("location")).toBe(`${base}/login?error=not_authorized`);
  expect(refused.headers.get("set-cookie")).toBeNull();

  const me = await fetch(`${base}/auth/me`, { headers: { cookie: carol } });
  const { csrf_token: csrf, ...rest } = (await me.json()) as Record<string, unknown>;
  expect(rest).toEqual({ did: dids["carol"], is_admin: true });
  const added = await fetch(`${base}/admin/users`, {
    method: "POST",
    headers: { cookie: carol, "content-type": "application/json", "x-csrf-token": String(csrf) },
    body: JSON.stringify({ did: dids["dave"], template: "viewer" }),
  });
  expect(added.status).toBe(201);
  const dave = cookieOf(await signInAs("dave"));
  expect(await status("/admin/lexicons", dave)).toBe(200);
  expect(await status("/admin/settings", dave)).toBe(403);
});

it("a stolen cookie alone changes nothing, a forged one is none, and signing out ends it for good", async () => {
  const cookie = cookieOf(await signInAs("carol"));
  const change = { method: "PUT", headers: { "content-type": "application/json" }, body: '{"value":"x"}' };
  expect(await status("/admin/settings/app_name", cookie, change)).toBe(403);
  const foreign = { ...change, headers: { ...change.headers, "sec-fetch-site": "cross-site" } };
  expect(await status("/admin/settings/app_name", cookie, foreign)).toBe(403);
  const own = { ...change, headers: { ...change.headers, "sec-fetch-site": "same-origin" } };
  expect(await status("/admin/settings/app_name", cookie, own)).toBe(204);
  const [name, value = ""] = cookie.split("=");
  expect(await status("/admin/users", `${name}=${value.split("").toReversed().join("")}`)).toBe(401);
  expect(await status("/auth/logout", cookie, { method: "POST" })).toBe(200);
  expect(await status("/admin/users", cookie)).toBe(401);
});

it("leads back to pages of this instance only", async () => {
  for (const to of [
    "https://evil.example/",
    "//evil.example",
    "javascript:alert(1)",
    `${base}.evil.example/`,
  ]) {
    const response = await fetch(
      `${base}/auth/login?handle=${dids["carol"]}&redirect_uri=${encodeURIComponent(to)}`,
    );
    expect([to, response.status]).toEqual([to, 400]);
  }
});

it("refuses a way back that nobody began, and one that was used already", async () => {
  const { url, cookie } = await begin("carol");
  const unknown = [500, { error: "OAuth callback failed: unknown authorization session" }];
  const answer = async (query: string): Promise<unknown[]> => {
    const response = await comeBack(query, cookie);
    return [response.status, await response.json()];
  };
  expect(await answer(`?code=x&state=y&iss=${atmosphere.pds.url}`)).toEqual(unknown);
  expect(await answer(`?code=x&iss=${atmosphere.pds.url}`)).toEqual(unknown);
  const back = await signIn(url, { name: "carol.test", password });
  expect((await comeBack(back, cookie)).status).toBe(303);
  expect(await answer(back)).toEqual(unknown);
  expect((await fetch(`${base}/auth/callback`)).status).toBe(400);
});

it("a way back is good in the browser that began alone: nobody can sign another one in as himself", async () => {
  const { url, cookie } = await begin("carol");
  const back = await signIn(url, { name: "carol.test", password });
  const { cookie: other } = await begin("carol");
  for (const held of ["", "happyview_login=", other, `${cookie}x`]) {
    const response = await comeBack(back, held);
    expect([held, response.status, await response.json()]).toEqual([
      held,
      500,
      { error: "OAuth callback failed: unknown authorization session" },
    ]);
    expect(response.headers.get("set-cookie")).toBeNull();
  }
  // What others tried has not used it up.
  expect((await comeBack(back, `theme=dark; ${cookie}`)).status).toBe(303);
});

it("sign-ins in two tabs of a browser do not end each other", async () => {
  const first = await begin("carol");
  const second = await begin("carol", "", first.cookie);
  for (const { url } of [first, second]) {
    const back = await signIn(url, { name: "carol.test", password });
    expect((await comeBack(back, second.cookie)).status).toBe(303);
  }
});

it("shows the metadata of its client", async () => {
  const response = await fetch(`${base}/oauth-client-metadata.json`);
  expect(await response.json()).toMatchObject({
    client_id: `${base}/oauth-client-metadata.json`,
    redirect_uris: [`${base}/auth/callback`],
    scope: "atproto",
    dpop_bound_access_tokens: true,
  });
});

it("keeps no token in the clear", async () => {
  const rows = await instance.app.db.all<{ session_data: string }>(
    "SELECT session_data FROM happyview_oauth_sessions",
  );
  expect(rows.length).toBeGreaterThan(0);
  for (const { session_data } of rows) expect(session_data).toMatch(/^enc:v1:/);
});
