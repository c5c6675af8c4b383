import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { TestPds } from "@atproto/dev-env";
import type { HappyViewSession } from "@happyview/oauth-client-browser";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { connect, type Database } from "../../core/db/database.ts";
import { databases, type TestDatabase } from "../setup/databases.ts";
import { startAtmosphere, type Atmosphere } from "./_atmosphere.ts";
import { encryptionKey } from "./_instance.ts";
import { openSdk, signInAs, spoilTokens, writeStatus } from "./_sdk.ts";

// Two servers on one Postgres, the published PDS, which ends a grant whose refresh token comes twice.
const script = fileURLToPath(new URL("_session-server.ts", import.meta.url));

let atmosphere: Atmosphere;
let tokens: TokenEndpoint;
let database: TestDatabase;
let db: Database;
let servers: Server[];
let session: HappyViewSession;

beforeAll(async () => {
  atmosphere = await startAtmosphere("alice");
  tokens = watchTokenEndpoint(atmosphere.pds);
});

afterAll(() => atmosphere?.close());

beforeEach(async () => {
  const [, postgres] = databases();
  if (!postgres) throw new Error("there is no Postgres");
  database = await postgres.open();
  servers = await Promise.all([startServer({ leaseMs: 1500 }), startServer({ leaseMs: 1500 })]);
  db = await connect({ url: database.url, maxConnections: 2 });
  session = await signInAt(servers[0]?.url ?? "");
  await spoilTokens(db);
  tokens.refreshed = 0;
});

afterEach(async () => {
  tokens.release();
  await Promise.all(servers.map((server) => server.kill()));
  await db.close();
  await database.drop();
});

test("fifty writes over two servers refresh once, and nobody is out", async () => {
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, i) => write(servers[i % 2]?.url ?? "", `write ${i}`)),
  );
  expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
  expect(tokens.refreshed).toBe(1);
  for (const { url } of servers) expect((await write(url, "later")).status).toBe(200);
  expect(tokens.refreshed).toBe(1);
});

test("a server that is killed while it refreshes for many writes leaves the session to the other", async () => {
  const [first, second] = servers as [Server, Server];
  tokens.hold();
  const lost = twentyFive(first).map((answer) => answer.catch((error: unknown) => error));
  await tokens.held();
  const waiting = twentyFive(second);
  await first.kill();
  for (const answer of await Promise.all(lost)) expect(answer).toBeInstanceOf(Error);
  tokens.drop();
  tokens.release();
  const statuses = (await Promise.all(waiting)).map(({ status }) => status);
  expect(statuses).toEqual(Array(25).fill(200));
  expect((await write(second.url, "later")).status).toBe(200);
  expect(tokens.refreshed).toBe(1);
});

// The protocol gives no way back: the one refresh token that is left is spent, and who uses it twice loses the grant.
test("a server that is killed between the PDS's answer and its own commit ends the session, not more", async () => {
  const [first, second] = servers as [Server, Server];
  const other = await signInAt(second.url);
  tokens.holdAnswers();
  const lost = write(first.url, "lost").catch((error: unknown) => error);
  await tokens.held();
  await first.kill();
  expect(await lost).toBeInstanceOf(Error);
  tokens.drop();
  tokens.release();
  const answer = await write(second.url, "after it");
  expect(answer.status).toBe(401);
  expect(await answer.json()).toMatchObject({ error: expect.any(String) });
  expect((await write(second.url, "of another device", other)).status).toBe(200);
  session = await signInAt(second.url);
  expect((await write(second.url, "signed in again")).status).toBe(200);
});

test("an authorization server that takes longer than the lease is waited for, not asked again", async () => {
  const [first, second] = servers as [Server, Server];
  tokens.hold();
  const slow = write(first.url, "slow");
  await tokens.held();
  const waiting = write(second.url, "waiting");
  const { until } = await lease();
  await expect.poll(async () => (await lease()).until, { timeout: 20_000 }).toBeGreaterThan(until + 1500);
  tokens.release();
  expect([(await slow).status, (await waiting).status]).toEqual([200, 200]);
  expect(tokens.refreshed).toBe(1);
});

function twentyFive({ url }: Server): Promise<Response>[] {
  return Array.from({ length: 25 }, (_, i) => write(url, `write ${i}`));
}

interface Server {
  url: string;
  /** Ends the process without a word. */
  kill(): Promise<void>;
}

async function startServer({ leaseMs }: { leaseMs: number }): Promise<Server> {
  const child: ChildProcess = spawn(process.execPath, ["--conditions=happyview-source", script], {
    env: {
      PATH: process.env["PATH"],
      DATABASE_URL: database.url,
      DATABASE_MAX_CONNECTIONS: "8",
      PLC_URL: atmosphere.plc.url,
      PUBLIC_URL: "http://127.0.0.1",
      TOKEN_ENCRYPTION_KEY: encryptionKey,
      LEASE_MS: String(leaseMs),
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const lines = createInterface({ input: child.stdout! }); // a pipe, as asked for above
  const [url] = (await Promise.race([
    once(lines, "line"),
    exited.then(() => Promise.reject(new Error("the server ended by itself"))),
  ])) as [string];
  return {
    url,
    async kill() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await exited;
    },
  };
}

function signInAt(instanceUrl: string): Promise<HappyViewSession> {
  return signInAs(openSdk(instanceUrl, atmosphere), "alice", atmosphere);
}

function write(server: string, status: string, by = session): Promise<Response> {
  return writeStatus(by, status, server);
}

async function lease(): Promise<{ until: number }> {
  const row = await db.get<{ refreshing_until: number | null }>(
    "SELECT refreshing_until FROM happyview_dpop_sessions",
  );
  return { until: Number(row?.refreshing_until ?? 0) };
}

interface TokenEndpoint {
  /** How many requests it has answered with tokens. */
  refreshed: number;
  /** Requests wait from now on. */
  hold(): void;
  /** The PDS gets them, and its answers wait. */
  holdAnswers(): void;
  /** Resolves when one waits. */
  held(): Promise<void>;
  /** Forgets those that wait: the PDS never sees them. */
  drop(): void;
  /** Lets those that wait, and all later ones, through. */
  release(): void;
}

/** Stands before the PDS's token endpoint, as a slow network would. */
function watchTokenEndpoint({ server }: TestPds): TokenEndpoint {
  const http = server.server;
  if (!http) throw new Error("the PDS does not listen");
  const listeners = http.listeners("request") as RequestListener[];
  let waiting: (() => void)[] = [];
  let isHolding = false;
  let isHoldingAnswers = false;
  let arrived = Promise.withResolvers<void>();
  const endpoint: TokenEndpoint = {
    refreshed: 0,
    hold() {
      isHolding = true;
      arrived = Promise.withResolvers();
    },
    holdAnswers() {
      isHoldingAnswers = true;
      arrived = Promise.withResolvers();
    },
    held: () => arrived.promise,
    drop: () => void (waiting = []),
    release() {
      isHolding = false;
      isHoldingAnswers = false;
      for (const pass of waiting) pass();
      waiting = [];
    },
  };
  http.removeAllListeners("request");
  http.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const pass = (): void => {
      for (const listener of listeners) listener(request, response);
    };
    if (request.url !== "/oauth/token") return pass();
    response.on("finish", () => {
      if (response.statusCode === 200) endpoint.refreshed++;
    });
    if (!isHolding && !isHoldingAnswers) return pass();
    const wait = (go: () => void): void => {
      waiting.push(go);
      arrived.resolve();
    };
    if (isHolding) return wait(pass);
    const end = response.end.bind(response) as (...parts: unknown[]) => ServerResponse;
    response.end = (...parts: unknown[]) => {
      wait(() => void end(...parts));
      return response;
    };
    pass();
  });
  return endpoint;
}
