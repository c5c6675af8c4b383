import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Reply } from "../../../core/http/reply.ts";
import { apiClients } from "../../../plugins/api-clients/index.ts";
import { dpopSessions } from "../../../plugins/dpop-sessions/index.ts";
import { startApp, type TestApp } from "../../setup/app.ts";
import { databases, type DatabaseSubject } from "../../setup/databases.ts";
import { createProof, encryptionKey, host, openDevice, registerClient, type TestClient } from "./_device.ts";
import { did, json, startPds, type StubPds } from "./_pds.ts";

const path = "/xrpc/com.atproto.repo.uploadBlob";
const mebibytes = 1024 * 1024;

let pds: StubPds;

beforeAll(async () => {
  pds = await startPds();
  pds.serve = (_, response, body) => json(response, 200, { size: body.length });
});
afterAll(() => pds.close());

interface Place extends TestApp {
  /** An upload whose body comes when `body` does. */
  upload(body: Promise<ArrayBuffer>, length: number | undefined): Promise<Reply>;
}

async function start(subject: DatabaseSubject): Promise<Place> {
  const running = await startApp(
    subject,
    { plugins: [apiClients(), dpopSessions({ verifyTokens: false })] },
    { env: { TOKEN_ENCRYPTION_KEY: encryptionKey, PLC_URL: pds.url } },
  );
  const client: TestClient = await registerClient(running);
  const { token, jwk } = await openDevice(running, client, did);
  pds.good.add(token);
  return {
    ...running,
    upload: (body, length) =>
      running.app.handle({
        method: "POST",
        url: path,
        headers: new Headers({
          host,
          authorization: `DPoP ${token}`,
          dpop: createProof(jwk, "POST", path, token),
          "x-client-key": client.key,
          "content-type": "video/mp4",
          ...(length === undefined ? {} : { "content-length": String(length) }),
        }),
        arrayBuffer: () => body,
      }),
  };
}

describe.each(databases())("uploads on $name", (subject) => {
  test("share their memory: what finds no room comes again later", async () => {
    await using t = await start(subject);
    const body = Promise.withResolvers<ArrayBuffer>();
    const held = [50, undefined, 50, 50, 50].map((size) =>
      t.upload(body.promise, size === undefined ? undefined : size * mebibytes),
    );
    await sleep(200); // they are authenticated and wait for their bodies
    const refused = await t.upload(body.promise, 7 * mebibytes);
    expect([refused.status, refused.headers["retry-after"], refused.body]).toEqual([
      503,
      "1",
      '{"error":"too many uploads at once; try again"}',
    ]);
    expect((await t.upload(Promise.resolve(new ArrayBuffer(5)), 5)).status).toBe(200);
    body.resolve(new ArrayBuffer(10));
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    const later = await t.upload(body.promise, 7 * mebibytes);
    expect([later.status, later.body]).toEqual([200, '{"size":10}']);
  });

  test("that say they are too large are refused unread, others when they are read", async () => {
    await using t = await start(subject);
    const never = new Promise<ArrayBuffer>(() => {});
    expect((await t.upload(never, 50 * mebibytes + 1)).status).toBe(413);
    const large = Promise.resolve(new ArrayBuffer(50 * mebibytes + 1));
    expect((await t.upload(large, undefined)).status).toBe(413);
  });
});

test("uploads may take longer than other requests", { timeout: 30_000 }, async () => {
  const [sqlite] = databases();
  await using t = await start(sqlite!);
  pds.serve = (_, response, body) =>
    void setTimeout(() => json(response, 200, { size: body.length }), 10_500);
  expect((await t.upload(Promise.resolve(new ArrayBuffer(3)), 3)).status).toBe(200);
});
