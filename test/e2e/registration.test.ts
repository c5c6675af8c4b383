import { ApiError, type HappyViewSession } from "@happyview/oauth-client";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { apiClients } from "../../plugins/api-clients/index.ts";
import { dpopSessions } from "../../plugins/dpop-sessions/index.ts";
import { jsonBody } from "../suites/http/subject.ts";
import { startAtmosphere, type Atmosphere } from "./_atmosphere.ts";
import { storedGrants } from "./_grants.ts";
import { startInstance, type Instance } from "./_instance.ts";
import { openSdk, signInAs, writeStatus } from "./_sdk.ts";
import { openServerSdk, shop, shopSecret, signInAtPds, type SignedIn } from "./_server-app.ts";
import { client, collection, lexicon } from "./_statusphere.ts";

// What an app says of a session, against what the published PDS knows of it.
let atmosphere: Atmosphere;
let instance: Instance;

beforeAll(async () => {
  atmosphere = await startAtmosphere("alice", "bob");
  instance = await startInstance(
    atmosphere,
    {
      plugins: [apiClients({ clients: [client, shop] }), dpopSessions()],
      lexicons: { "xyz.statusphere.set": { targetCollection: collection } },
    },
    {
      env: { SHOP_SECRET: shopSecret },
      files: { lexicons: [lexicon(collection, "record"), lexicon("xyz.statusphere.set", "procedure")] },
    },
  );
});

afterAll(async () => {
  await instance?.close();
  await atmosphere?.close();
});

beforeEach(() => instance.app.db.run("DELETE FROM happyview_dpop_keys"));

/** Bob signs in at the shop, which registers that with some of it changed. */
async function register(change: (signedIn: SignedIn) => Partial<SignedIn>): Promise<HappyViewSession> {
  const sdk = openServerSdk(instance.url);
  const signedIn = await signInAtPds(sdk, "bob", atmosphere);
  return sdk.registerSession({ ...signedIn, ...change(signedIn) });
}

/** The answer to a registration that is refused, after which nothing is stored. */
async function refusal(registering: Promise<unknown>): Promise<unknown[]> {
  const error = await registering.then(
    () => new Error("it was registered"),
    (refused: unknown) => refused,
  );
  expect(await storedGrants(instance.app.db)).toEqual([]);
  return error instanceof ApiError ? [error.status, error.body] : [error];
}

function withOtherSignature(token: string): string {
  const [head, body, signature = ""] = token.split(".");
  return [head, body, signature.split("").toReversed().join("")].join(".");
}

test("a right one writes", async () => {
  const session = await register(() => ({}));
  expect(session.did).toBe(atmosphere.dids["bob"]);
  expect((await writeStatus(session, "👍")).status).toBe(200);
});

test("a token of another account is refused", async () => {
  expect(await refusal(register(() => ({ did: atmosphere.dids["alice"] ?? "" })))).toEqual([
    401,
    { error: "access token does not belong to the claimed DID" },
  ]);
});

test("a token that the PDS does not take is refused", async () => {
  const spoil = ({ accessToken }: SignedIn) => ({ accessToken: withOtherSignature(accessToken) });
  const refused = (status: number) => [401, { error: `access token verification failed (${status})` }];
  expect(await refusal(register(spoil))).toEqual(refused(401));
  expect(await refusal(register(() => ({ accessToken: "made up" })))).toEqual(refused(400));
});

test("a token is refused with another key than that to which the PDS bound it", async () => {
  const { provisionId } = await openServerSdk(instance.url).provisionDpopKey();
  expect(await refusal(register(() => ({ provisionId })))).toEqual([
    401,
    { error: "access token verification failed (401)" },
  ]);
});

test("an account that does not exist is refused", async () => {
  const did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
  expect(await refusal(register(() => ({ did })))).toEqual([
    401,
    { error: expect.stringMatching(/^access token verification failed \(did:plc:a+ cannot be resolved/) },
  ]);
});

/** By the app's own procedure, and by the standard method. */
async function expectNoWrites(session: HappyViewSession): Promise<void> {
  const record = { $type: collection, status: "no", createdAt: new Date().toISOString() };
  for (const answer of [
    await writeStatus(session, "no"),
    await session.fetchHandler(
      "/xrpc/com.atproto.repo.createRecord",
      jsonBody("POST", { repo: session.did, collection, record }),
    ),
  ])
    expect([answer.status, await answer.json()]).toEqual([
      403,
      { error: "ScopeMissingError", message: expect.stringContaining(`repo:${collection}?action=create`) },
    ]);
}

test("what the user did not consent to is not written, and the app learns that it may not", async () => {
  const session = await signInAs(openSdk(instance.url, atmosphere), "alice", atmosphere, "atproto");
  expect(session.scopes).toEqual(["atproto"]);
  await expectNoWrites(session);
});

test("an app that claims more than the user consented to writes no more", async () => {
  const sdk = openServerSdk(instance.url);
  const signedIn = await signInAtPds(sdk, "bob", atmosphere, "atproto");
  expect(signedIn.scopes).toBe("atproto");
  const session = await sdk.registerSession({ ...signedIn, scopes: "atproto transition:generic" });
  await expectNoWrites(session);
});
