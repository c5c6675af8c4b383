import { P256Keypair, Secp256k1Keypair, type Keypair } from "@atproto/crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Account } from "../../../playground/network/account.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { databases } from "../../setup/databases.ts";
import { startPlace, tokenOf, type Place } from "./_people.ts";

describe.each(databases())("service-auth tokens on $name", (subject) => {
  let network: Network;
  let t: Place;
  let account: Account;
  let ahead = 0;

  beforeAll(async () => {
    network = await createNetwork({ seed: 47 });
    account = await network.createAccount();
    t = await startPlace(subject, { network, admins: [account.did], now: () => Date.now() + ahead });
  });
  afterAll(async () => {
    await t[Symbol.asyncDispose]();
    await network.close();
  });

  const ask = (token: string): Promise<[number, unknown]> =>
    t.send("GET", "/admin/manifest", { authorization: `Bearer ${token}` });
  const answer = async (token: string): Promise<unknown> => {
    const [status, body] = await ask(token);
    return status === 200 ? 200 : [status, (body as { error: string }).error];
  };
  /** Changes header or claims of a token; its signature is of what it was. */
  const change = (token: string, part: 0 | 1, fields: object): string => {
    const parts = token.split(".");
    const value = JSON.parse(Buffer.from(parts[part] ?? "", "base64url").toString()) as object;
    parts[part] = Buffer.from(JSON.stringify({ ...value, ...fields })).toString("base64url");
    return parts.join(".");
  };

  test("pass when they are for this instance, with or without the method and a fragment", async () => {
    expect(await answer(await tokenOf(account))).toBe(200);
    expect(await answer(await tokenOf(account, { lxm: "dev.happyview.admin" }))).toBe(200);
    expect(await answer(await tokenOf(account, { aud: "did:web:localhost#happyview" }))).toBe(200);
  });

  test("are refused when they are for somebody else, for another method, or too old", async () => {
    expect(await answer(await tokenOf(account, { aud: "did:web:other.example" }))).toEqual([
      401,
      "JWT audience is not did:web:localhost",
    ]);
    expect(await answer(await tokenOf(account, { lxm: "com.atproto.repo.createRecord" }))).toEqual([
      401,
      "JWT is for another method",
    ]);
    expect(await answer(await tokenOf(account, { exp: Math.floor(Date.now() / 1000) - 1 }))).toEqual([
      401,
      "JWT expired",
    ]);
  });

  test("are refused when they were changed, or signed by another key", async () => {
    const other = await network.createAccount();
    const token = await tokenOf(account);
    const failed = [401, "JWT signature verification failed"];
    expect(await answer(change(token, 1, { exp: 9_999_999_999 }))).toEqual(failed);
    expect(await answer(await tokenOf({ did: account.did, keypair: other.keypair }))).toEqual(failed);
    expect(await answer(`${token.slice(0, token.lastIndexOf("."))}.`)).toEqual(failed);
    expect(await answer(await tokenOf(other))).toEqual([403, "not a user"]);
  });

  test.each([
    [{ alg: "none" }, "unsupported JWT algorithm"],
    [{ alg: "HS256" }, "unsupported JWT algorithm"],
    [{ typ: "at+jwt" }, "forbidden JWT typ"],
    [{ typ: "DPOP+JWT" }, "forbidden JWT typ"],
    [{ typ: "refresh+jwt" }, "forbidden JWT typ"],
    // The key is of another curve than the header says.
    [{ alg: "ES256" }, "JWT signature verification failed"],
  ])("a header with %o is refused", async (fields, error) => {
    expect(await answer(change(await tokenOf(account), 0, fields))).toEqual([401, error]);
  });

  test.each([
    ["a.b", "invalid JWT structure"],
    ["a.b.c.d", "invalid JWT structure"],
    ["a.b.c", "invalid JWT header"],
    [`${Buffer.from('{"alg":"ES256K"}').toString("base64url")}.e30.c`, "invalid JWT payload"],
  ])("%s is no token", async (token, error) => {
    expect(await answer(token)).toEqual([401, error]);
  });

  describe("when the account changes its key", () => {
    test.each([
      ["of the same curve", () => Secp256k1Keypair.create()],
      ["of the other curve", () => P256Keypair.create()],
    ])("to one %s, the new one passes at once and the old one no more", async (_, create) => {
      ahead += 61_000; // its document may be read anew
      const exp = Math.floor(Date.now() / 1000) + 3600;
      expect(await answer(await tokenOf(account, { exp }))).toBe(200);
      const old = account.keypair;
      const keypair = await create();
      (account as { keypair: Keypair }).keypair = keypair; // what the directory says from now on
      expect(await answer(await tokenOf(account, { exp }))).toBe(200);
      expect(await answer(await tokenOf({ did: account.did, keypair: old }, { exp }))).toEqual([
        401,
        "JWT signature verification failed",
      ]);
    });
  });
});
