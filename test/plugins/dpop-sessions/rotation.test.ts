import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createSecretBox } from "../../../core/secret-box.ts";
import { apiClients } from "../../../plugins/api-clients/index.ts";
import { dpopSessions } from "../../../plugins/dpop-sessions/index.ts";
import { startApp, type TestApp } from "../../setup/app.ts";
import { databases, type DatabaseSubject } from "../../setup/databases.ts";
import { createRecordingLog } from "../../setup/log.ts";
import { openDevice, registerClient, type Device } from "./_device.ts";
import { did, startPds, type StubPds } from "./_pds.ts";

const [first, second, third] = [1, 2, 3].map((n) => Buffer.alloc(32, n).toString("base64"));
const ping = "/xrpc/com.example.ping";

let pds: StubPds;
const recorded = createRecordingLog();

beforeAll(async () => {
  pds = await startPds();
});
afterAll(() => pds.close());

function start(
  subject: DatabaseSubject,
  key: string | undefined,
  previous?: string | undefined,
  plcUrl = pds.url,
): Promise<TestApp> {
  return startApp(
    subject,
    {
      plugins: [apiClients(), dpopSessions({ verifyTokens: false })],
      settings: { xrpc_proxy_config: '{"mode":"open","nsids":[],"routing":"serviceproxy"}' },
    },
    {
      log: recorded.log,
      env: {
        TOKEN_ENCRYPTION_KEY: key,
        TOKEN_ENCRYPTION_KEY_PREVIOUS: previous,
        PLC_URL: plcUrl,
      },
    },
  );
}

async function signIn(t: TestApp): Promise<Device> {
  const device = await openDevice(t, await registerClient(t), did);
  pds.good.add(device.token);
  return device;
}

describe.each(databases())("encrypted sessions on $name", (subject) => {
  test("outlive a second rotation", async () => {
    const { url, drop } = await subject.open();
    const same = { name: subject.name, open: async () => ({ url, drop: async () => {} }) };
    let t = await start(same, first);
    const device = await signIn(t);
    await Promise.all(Array.from({ length: 120 }, () => signIn(t))); // more than one batch
    await t.stop();

    t = await start(same, second, first);
    const box = createSecretBox(second);
    const isOurs = (value: Uint8Array): boolean => {
      try {
        return box.openBytes(value) !== "";
      } catch {
        return false;
      }
    };
    const { db } = t.app;
    const sealed = async (): Promise<Uint8Array[]> =>
      [
        ...(await db.all<{ v: Uint8Array }>("SELECT private_key_enc AS v FROM happyview_dpop_keys")),
        ...(await db.all<{ v: Uint8Array }>("SELECT access_token_enc AS v FROM happyview_dpop_sessions")),
        ...(await db.all<{ v: Uint8Array }>("SELECT refresh_token_enc AS v FROM happyview_dpop_sessions")),
      ].map(({ v }) => v);
    await expect.poll(async () => (await sealed()).filter(isOurs).length, { timeout: 10_000 }).toBe(363);
    await t.stop();

    t = await start(same, third, second);
    expect((await device.ask("GET", ping, { on: t })).status).toBe(200);
    await t.stop();
    await drop();
  });

  test("that no key opens are our failure, which the log explains, not the PDS's", async () => {
    await using t = await start(subject, first);
    const device = await signIn(t);
    await t.app.db.run("UPDATE happyview_dpop_sessions SET access_token_enc = ?", [
      createSecretBox(third).sealBytes(device.token),
    ]);
    const response = await device.ask("GET", ping);
    expect([response.status, await response.json()]).toEqual([500, { error: "internal server error" }]);
    expect(recorded.lines.at(-1)).toMatchObject({
      level: "error",
      message: "a request failed",
      error: expect.stringContaining("another TOKEN_ENCRYPTION_KEY"),
    });
  });
});

test("a PDS that is silent is a 502 with a line in the log", async () => {
  const [sqlite] = databases();
  const gone = await startPds();
  await using t = await start(sqlite!, first, undefined, gone.url);
  const device = await signIn(t);
  gone.good.add(device.token);
  expect((await device.ask("GET", ping)).status).toBe(200);
  await gone.close();
  const response = await device.ask("GET", ping);
  expect([response.status, await response.json()]).toEqual([502, { error: "the PDS cannot be reached" }]);
  expect(recorded.lines.at(-1)).toMatchObject({
    level: "warn",
    message: "a PDS cannot be reached",
    error: expect.stringContaining(gone.url),
  });
});
