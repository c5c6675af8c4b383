import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { HappyViewSession } from "@happyview/oauth-client-browser";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createApp, type App } from "../../core/index.ts";
import { explain } from "../../core/errors.ts";
import type { Database } from "../../core/db/database.ts";
import { createSecretBox } from "../../core/secret-box.ts";
import { apiClients } from "../../plugins/api-clients/index.ts";
import { delegation } from "../../plugins/delegation/index.ts";
import { deadLetters } from "../../plugins/dead-letters/index.ts";
import { dpopSessions } from "../../plugins/dpop-sessions/index.ts";
import { eventLog } from "../../plugins/event-log/index.ts";
import { jobs } from "../../plugins/jobs/index.ts";
import { labelers } from "../../plugins/labelers/index.ts";
import { luaScripts } from "../../plugins/lua-scripts/index.ts";
import { oauth } from "../../plugins/oauth/index.ts";
import { rateLimits } from "../../plugins/rate-limits/index.ts";
import { users } from "../../plugins/users/index.ts";
import { password, startAtmosphere, type Atmosphere } from "../e2e/_atmosphere.ts";
import { startInstance } from "../e2e/_instance.ts";
import { openSdk, signInAs, spoilTokens } from "../e2e/_sdk.ts";
import { openServerSdk, shop, signInAtPds } from "../e2e/_server-app.ts";
import { signIn } from "../e2e/_sign-in.ts";
import { client as sdkApp, collection, lexicon } from "../e2e/_statusphere.ts";
import { testConfig } from "../setup/app.ts";
import { databases, type TestDatabase } from "../setup/databases.ts";
import { createRecordingLog } from "../setup/log.ts";

const secret = (prefix = ""): string => prefix + randomBytes(32).toString("hex");
const encryptionKey = randomBytes(32).toString("base64");
const streamPassword = secret();
const env = {
  TOKEN_ENCRYPTION_KEY: encryptionKey,
  SESSION_SECRET: secret(),
  HAPPYVIEW_ADMIN_KEY: secret("hv_"),
  SHOP_SECRET: secret("hvs_"),
  JETSTREAM_URL: `ws://reader:${streamPassword}@127.0.0.1:9`,
  LOG_LEVEL: "debug",
};

const scriptFile = (trigger: string, suffix: string, text: string) => ({
  path: `${trigger}/${suffix}.lua`,
  name: `${trigger}/${suffix}`,
  text,
});
const files = {
  lexicons: [
    lexicon(collection, "record"),
    lexicon("xyz.statusphere.set", "procedure"),
    lexicon("xyz.statusphere.tell", "query"),
    lexicon("xyz.statusphere.ask", "query"),
  ],
  scripts: [
    scriptFile("xrpc.query", "xyz.statusphere.tell", "function handle() log(env.SHOP) error(env.SHOP) end"),
    scriptFile(
      "xrpc.query",
      "xyz.statusphere.ask",
      'function handle() return http.get("http://user:" .. env.SHOP .. "@127.0.0.1:9/?key=" .. env.SHOP) end',
    ),
  ],
};

let atmosphere: Atmosphere;

beforeAll(async () => {
  atmosphere = await startAtmosphere("alice", "bob");
});

afterAll(() => atmosphere?.close());

describe.each(databases())("on $name", (subject) => {
  test("no secret is printed, stored as it is, or answered but where it is asked for", async () => {
    const database = await subject.open();
    const log = createRecordingLog();
    const run = await start(database, log.log);
    const { ask, secrets } = run;
    try {
      await clientsKeysAndVariables(run);
      const session = await sessions(run);
      await team(run);
      await dashboard(run);
      await refusals(run, session);
      await looks(run);
      for (const [name, stored] of await storedSecrets(run.app.db)) secrets.set(name, stored);
      const tables = await dump(run.app.db);
      await failingDatabase(run);

      expect(log.lines.length).toBeGreaterThan(3);
      expect(secrets.size).toBeGreaterThan(26);
      const printed = log.lines.map((line) => JSON.stringify(line));
      for (const [name, value] of secrets) {
        expect({ name, printed: printed.filter((line) => shows(line, value)) }).toEqual({
          name,
          printed: [],
        });
        expect({ name, answers: ask.answers.filter(({ text }) => shows(text, value)) }).toEqual({
          name,
          answers: [],
        });
        expect({ name, tables: tables.filter(({ text }) => shows(text, value)).map((t) => t.table) }).toEqual(
          { name, tables: [] },
        );
      }
      if (subject.name === "sqlite")
        for (const [file, bytes] of await filesOf(database))
          for (const [name, value] of secrets)
            expect({ file, name, found: bytes.includes(value) }).toEqual({ file, name, found: false });
    } finally {
      await run.stop();
      await database.drop();
    }
  });
});

test("a database that cannot be opened is named without its password", async () => {
  const [, postgres] = databases();
  const { url, drop } = await postgres!.open();
  const wrong = secret();
  const { username, password: right, host, pathname } = new URL(url);
  for (const each of [
    `postgres://${username}:${wrong}@${host}${pathname}`,
    `postgres://${username}:${right}@${host}/does_not_exist`,
    `postgres://${username}:${right}@127.0.0.1:9${pathname}`,
    `postgres://${username}:${wrong}/@${host}${pathname}`,
    `mysql://${username}:${wrong}@${host}${pathname}`,
  ]) {
    const failure = await createApp({ config: testConfig({ database: { url: each } }) }).then(
      async (app) => app.close(), // trust authentication takes any password
      (error: unknown) => `${explain(error)} ${(error as Error).stack}`,
    );
    expect(String(failure)).not.toContain(wrong);
    expect(String(failure)).not.toContain(`:${right}@`);
  }
  await drop();
});

interface Answer {
  request: string;
  text: string;
}

interface Asking {
  /** A request whose answer must hold no secret. */
  (path: string, init?: RequestInit): Promise<Response>;
  /** Every such answer, with its headers. */
  answers: Answer[];
}

interface Run {
  app: App;
  base: string;
  ask: Asking;
  secrets: Map<string, string>;
  admin: Record<string, string>;
  stop(): Promise<void>;
}

async function start(
  database: TestDatabase,
  log: ReturnType<typeof createRecordingLog>["log"],
): Promise<Run> {
  const instance = await startInstance(
    atmosphere,
    {
      database: { url: database.url, maxConnections: 8 },
      plugins: [
        eventLog(),
        jobs(),
        deadLetters(),
        users(),
        apiClients({
          clients: [sdkApp, shop],
        }),
        dpopSessions(),
        delegation(),
        labelers(),
        rateLimits(),
        oauth(),
        luaScripts({ http: { allow: ["127.0.0.1"] } }),
      ],
      labelers: [atmosphere.dids["bob"] ?? ""], // it is none: what is said of that is looked at, too
      lexicons: { "xyz.statusphere.set": { targetCollection: collection } },
    },
    { env, log, files },
  );
  const { app, url: base } = instance;
  const answers: Answer[] = [];
  const ask = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const response = await fetch(new URL(path, base), { redirect: "manual", ...init });
    const body = await response.clone().text();
    answers.push({
      request: `${init.method ?? "GET"} ${path}`,
      text: `${JSON.stringify([...response.headers])} ${body}`,
    });
    return response;
  };
  const { TOKEN_ENCRYPTION_KEY: key, LOG_LEVEL: _, JETSTREAM_URL: __, ...named } = env;
  const secrets = new Map<string, string>([
    ...Object.entries(named),
    ["TOKEN_ENCRYPTION_KEY", key],
    ["the password of JETSTREAM_URL", streamPassword],
    ["the user's password", password],
  ]);
  const databasePassword = URL.canParse(database.url) ? new URL(database.url).password : "";
  if (databasePassword) secrets.set("the password of the database", databasePassword);
  return {
    app,
    base,
    ask: Object.assign(ask, { answers }),
    secrets,
    admin: { authorization: `Bearer ${env.HAPPYVIEW_ADMIN_KEY}`, "content-type": "application/json" },
    stop: () => instance.close(),
  };
}

/** What is made by admins; each creation answers its secret, once. */
async function clientsKeysAndVariables({ base, ask, secrets, admin }: Run): Promise<void> {
  const create = async (path: string, body: unknown): Promise<Record<string, string>> => {
    const response = await fetch(base + path, { method: "POST", headers: admin, body: JSON.stringify(body) });
    expect(response.status).toBe(201);
    return (await response.json()) as Record<string, string>;
  };
  const client = await create("/admin/api-clients", {
    name: "Made",
    client_id_url: "https://made.example/client.json",
    client_uri: "https://made.example",
    redirect_uris: ["https://made.example/cb"],
  });
  secrets.set("the client secret", client["client_secret"] ?? "");
  const key = await create("/admin/api-keys", { name: "ci", permissions: ["stats:read"] });
  secrets.set("the API key", key["key"] ?? "");
  const provision = await fetch(`${base}/oauth/dpop-keys`, {
    method: "POST",
    headers: { "x-client-key": client["client_key"] ?? "", "x-client-secret": client["client_secret"] ?? "" },
  });
  const { dpop_key: jwk } = (await provision.json()) as { dpop_key: { d: string } };
  secrets.set("the private key of a provision", jwk.d);

  const variable = secret();
  secrets.set("a script variable", variable);
  await ask("/admin/script-variables", {
    method: "POST",
    headers: admin,
    body: JSON.stringify({ key: "SHOP", value: variable }),
  });
  for (const name of ["tell", "ask"])
    expect((await ask(`/xrpc/xyz.statusphere.${name}`)).status).toBeGreaterThanOrEqual(400);
}

/** The SDK signs in and writes, before and after a refresh. */
async function sessions({ app, base, ask, secrets }: Run): Promise<HappyViewSession> {
  const sdk = openSdk(base, atmosphere, async (input, init) => {
    const url = String(input);
    if (url === `${base}/oauth/sessions`) {
      const body = JSON.parse(String(init?.body)) as Record<string, string>;
      for (const name of ["access_token", "refresh_token", "pkce_verifier"])
        secrets.set(`the registered ${name}`, body[name] ?? "");
    }
    if (url.startsWith(base) && !url.endsWith("/oauth/dpop-keys")) return ask(url, init);
    const response = await fetch(url, init);
    if (url.endsWith("/oauth/dpop-keys"))
      secrets.set(
        "the private key of a device",
        ((await response.clone().json()) as { dpop_key: { d: string } }).dpop_key.d,
      );
    return response;
  });
  const session = await signInAs(sdk, "alice", atmosphere);
  const write = (body: unknown): Promise<Response> =>
    session.fetchHandler("/xrpc/xyz.statusphere.set", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  expect((await write({ status: "👍", createdAt: new Date().toISOString() })).status).toBe(200);
  await spoilTokens(app.db, encryptionKey);
  expect((await write({ status: "🦋", createdAt: new Date().toISOString() })).status).toBe(200);
  expect((await write({ uri: "at://x/y/not a key!" })).status).toBe(400);
  expect((await session.fetchHandler(`/oauth/sessions/${session.did}/devices`, {})).status).toBe(200);
  return session;
}

/** Two users of an app that has a secret: one writes for the other, and both are refused some things. */
async function team({ app, base, ask, secrets }: Run): Promise<void> {
  const sdk = openServerSdk(base, {
    secret: env.SHOP_SECRET,
    ask: (input, init) => {
      const url = String(input);
      return url.endsWith("/oauth/dpop-keys") ? fetch(url, init) : ask(url, init);
    },
  });
  const member = async (name: string): Promise<HappyViewSession> => {
    const signedIn = await signInAtPds(sdk, name, atmosphere);
    secrets.set(`the access token of ${name} at the shop`, signedIn.accessToken);
    secrets.set(`the refresh token of ${name} at the shop`, signedIn.refreshToken);
    secrets.set(`the private key of ${name} at the shop`, signedIn.dpopKey.d ?? "");
    return sdk.registerSession(signedIn);
  };
  const [owner, account] = [await member("bob"), await member("alice")];
  const call = async (nsid: string, body: object): Promise<number> =>
    (
      await owner.fetchHandler(`/xrpc/${nsid}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      })
    ).status;
  const status = { status: "👥", createdAt: new Date().toISOString(), delegateDid: account.did };
  expect(await call("xyz.statusphere.set", status)).toBe(403);
  expect(await call("dev.happyview.delegation.linkAccount", { did: account.did })).toBe(201);
  await spoilTokens(app.db, encryptionKey);
  expect(await call("xyz.statusphere.set", status)).toBe(200);
  expect(await call("dev.happyview.delegation.unlinkAccount", { did: account.did })).toBe(200);
  const headers = { "x-client-key": shop.clientKey, "x-client-secret": env.SHOP_SECRET };
  expect((await ask(`/oauth/sessions/${owner.did}`, { headers })).status).toBe(200);
  expect((await ask(`/oauth/sessions/${account.did}`, { headers })).status).toBe(404);
}

/** Signs in to the admin API by cookie. */
async function dashboard({ base, ask, secrets, admin }: Run): Promise<void> {
  const begun = await fetch(`${base}/auth/login?handle=${atmosphere.dids["alice"]}`);
  const { url } = (await begun.json()) as { url: string };
  const browser = pairOf(begun);
  secrets.set("the nonce of a browser", browser.slice(browser.indexOf("=") + 1));
  const back = await signIn(url, { name: "alice.test", password });
  secrets.set("the code of a sign-in", new URLSearchParams(back).get("code") ?? "");
  const callback = await fetch(`${base}/auth/callback${back}`, {
    redirect: "manual",
    headers: { cookie: browser },
  });
  const cookie = pairOf(callback);
  secrets.set("the cookie", cookie.slice(cookie.indexOf("=") + 1));
  const me = await fetch(`${base}/auth/me`, { headers: { cookie } });
  const { csrf_token: csrf } = (await me.json()) as { csrf_token: string };
  expect((await ask("/admin/users", { headers: { cookie } })).status).toBe(200);
  const again = await ask(`/auth/callback${back}`, { headers: { cookie: browser } });
  expect(again.status).toBe(500); // a code is good once
  expect((await ask("/admin/users", { headers: { ...admin, authorization: `Bearer ${csrf}` } })).status).toBe(
    401,
  );
}

/** The name and value of the cookie that an answer sets. */
function pairOf({ headers }: Response): string {
  return headers.get("set-cookie")?.split(";", 1)[0] ?? "";
}

/** Credentials that are refused, some of them nearly right. */
async function refusals({ ask, secrets }: Run, session: HappyViewSession): Promise<void> {
  const key = secrets.get("the API key") ?? "";
  const token = secrets.get("the registered access_token") ?? "";
  const json = { "content-type": "application/json" };
  const client = { "x-client-key": sdkApp.clientKey };
  const statuses = [
    await ask("/admin/users", { headers: { authorization: `Bearer ${key}x` } }),
    await ask("/admin/users", { headers: { authorization: `Bearer ${env.HAPPYVIEW_ADMIN_KEY}x` } }),
    await ask("/admin/users", { headers: { authorization: `Bearer ${token}` } }),
    await ask("/admin/users", { headers: { authorization: `Bearer ${key}` } }),
    await ask("/xrpc/xyz.statusphere.tell", { headers: { authorization: `Bearer ${key}` } }),
    await ask("/xrpc/xyz.statusphere.tell", { headers: { ...client, authorization: `DPoP ${token}` } }),
    await ask("/xrpc/xyz.statusphere.tell", {
      headers: { ...client, authorization: `DPoP ${token}`, dpop: `${token}.${key}.x` },
    }),
    await ask("/oauth/dpop-keys", {
      method: "POST",
      headers: { ...json, "x-client-key": `hvc_${"2".repeat(32)}`, "x-client-secret": `${env.SHOP_SECRET}x` },
      body: "{}",
    }),
    await ask("/oauth/sessions", {
      method: "POST",
      headers: { ...json, ...client },
      body: `{"access_token":"${token}","refresh_token":${key}}`,
    }),
    await ask("/admin/api-keys", { method: "POST", headers: json, body: `{"name":"${key}"` }),
  ].map(({ status }) => status);
  expect(statuses.every((status) => status >= 400 && status < 500)).toBe(true);
  expect((await session.fetchHandler("/oauth/sessions/did:plc:other", {})).status).toBe(403);
}

/** Everything that shows what there is. */
async function looks({ ask, admin }: Run): Promise<void> {
  const events = async (): Promise<string> =>
    (await ask("/admin/events?limit=100", { headers: admin })).text();
  await expect.poll(events).toContain("script");
  for (const path of [
    "/admin/settings",
    "/admin/settings/xrpc-proxy",
    "/admin/api-clients",
    "/admin/api-keys",
    "/admin/users",
    "/admin/labelers",
    "/admin/script-variables",
    "/admin/scripts",
    "/admin/lexicons",
    "/admin/stats",
    "/admin/domains",
    "/admin/dead-letters",
    "/admin/jobs",
    "/admin/manifest",
    "/metrics",
    "/health",
    "/health/ready",
    "/config",
    "/oauth-client-metadata.json",
  ])
    await ask(path, { headers: admin });
}

/** A database that fails is an error in the log, and nothing in the answer. */
async function failingDatabase({ app, ask, admin, secrets }: Run): Promise<void> {
  const value = secret();
  secrets.set("a script variable that could not be stored", value);
  await app.db.run("ALTER TABLE happyview_script_variables RENAME TO happyview_script_variables_gone");
  await app.db.run("ALTER TABLE happyview_api_keys RENAME TO happyview_api_keys_gone");
  const post = async (path: string, body: unknown): Promise<number> =>
    (await ask(path, { method: "POST", headers: admin, body: JSON.stringify(body) })).status;
  expect(await post("/admin/script-variables", { key: "SHOP", value })).toBe(500);
  expect(await post("/admin/api-keys", { name: "ci", permissions: [] })).toBe(500);
}

/** What the database keeps encrypted, as it was before. */
async function storedSecrets(db: Database): Promise<Map<string, string>> {
  const box = createSecretBox(encryptionKey);
  const rows = await db.all<{ access_token_enc: Uint8Array; refresh_token_enc: Uint8Array }>(
    "SELECT access_token_enc, refresh_token_enc FROM happyview_dpop_sessions",
  );
  const tokens = rows.flatMap(({ access_token_enc, refresh_token_enc }, n): [string, string][] => [
    [`the stored access token ${n}`, box.openBytes(access_token_enc)],
    [`the stored refresh token ${n}`, box.openBytes(refresh_token_enc)],
  ]);
  const login = await db.get<{ session_data: string }>("SELECT session_data FROM happyview_oauth_sessions");
  const { tokenSet, dpopJwk } = JSON.parse(box.open(login?.session_data ?? "")) as {
    tokenSet: { access_token: string; refresh_token: string };
    dpopJwk: { d: string };
  };
  return new Map([
    ...tokens,
    ["the access token of the dashboard", tokenSet.access_token],
    ["the refresh token of the dashboard", tokenSet.refresh_token],
    ["the private key of the dashboard", dpopJwk.d],
  ]);
}

/** Every row of every table; bytes as text, which is how a secret in them would be read. */
async function dump(db: Database): Promise<{ table: string; text: string }[]> {
  const names = await db.all<{ name: string }>(
    db.dialect === "sqlite"
      ? "SELECT name FROM sqlite_master WHERE type = 'table'"
      : "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'",
  );
  const readable = (_: string, value: unknown): unknown =>
    value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value;
  return Promise.all(
    names.map(async ({ name }) => {
      const rows = await db.all<Record<string, unknown>>(`SELECT * FROM "${name}"`);
      const plain = rows.map((row) =>
        Object.fromEntries(Object.entries(row).map(([column, value]) => [column, readable(column, value)])),
      );
      return { table: name, text: JSON.stringify(plain) };
    }),
  );
}

/** As it is, percent-encoded, in base64, in hex. */
function shows(text: string, value: string): boolean {
  const bytes = Buffer.from(value);
  return [
    value,
    encodeURIComponent(value),
    bytes.toString("base64").replace(/=+$/, ""),
    bytes.toString("base64url"),
    bytes.toString("hex"),
    Buffer.from(value, "base64").toString("hex"),
  ].some((form) => form.length > 10 && text.includes(form));
}

async function filesOf({ url }: TestDatabase): Promise<[string, Buffer][]> {
  const folder = dirname(url.slice("file:".length));
  const names = await readdir(folder);
  return Promise.all(
    names.map(async (name): Promise<[string, Buffer]> => [name, await readFile(join(folder, name))]),
  );
}
