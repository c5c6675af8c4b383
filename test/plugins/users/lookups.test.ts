import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Secp256k1Keypair, type Keypair } from "@atproto/crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Account } from "../../../playground/network/account.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { databases } from "../../setup/databases.ts";
import { startPlace, tokenOf, type Place } from "./_people.ts";

// What a token with a wrong signature costs the directory.
describe.each(databases())("documents that service-auth tokens ask for on $name", (subject) => {
  let network: Network;
  let server: Server;
  let directory: Network;
  let asked: string[] = [];
  let ahead = 0;

  beforeAll(async () => {
    network = await createNetwork({ seed: 59 });
    server = createServer((request, response) => {
      asked.push(request.url ?? "");
      void fetch(network.plcUrl + request.url)
        .then(async (answer) => response.writeHead(answer.status).end(await answer.text()))
        .catch(() => response.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo; // a TCP server has one
    directory = { ...network, plcUrl: `http://127.0.0.1:${port}` };
  });
  afterAll(async () => {
    server.close();
    await network.close();
  });
  beforeEach(() => {
    asked = [];
    ahead = 0;
  });

  const start = (admins: readonly string[]): Promise<Place> =>
    startPlace(subject, { network: directory, admins, now: () => Date.now() + ahead });
  /** Good through what the tests do to the time. */
  const late = (): { exp: number } => ({ exp: Math.floor(Date.now() / 1000) + 3600 });
  const ask = async (t: Place, token: string): Promise<[number, unknown]> => {
    const [status, body] = await t.send("GET", "/admin/manifest", { authorization: `Bearer ${token}` });
    return [status, status === 200 ? "" : (body as { error: string }).error];
  };
  const failed = [401, "JWT signature verification failed"];

  test("of strangers are asked for once each, and of thirty a minute at most", async () => {
    const admin = await network.createAccount();
    const stranger = await network.createAccount();
    await using t = await start([admin.did]);
    ahead += 60_000 - ((Date.now() + ahead) % 60_000); // a minute begins
    const forged = await tokenOf({ did: stranger.did, keypair: admin.keypair }, late());
    expect(await ask(t, await tokenOf(stranger, late()))).toEqual([403, "not a user"]);
    expect(await ask(t, forged)).toEqual(failed);
    expect(asked).toEqual([`/${stranger.did}`]);
    for (let i = 0; i < 40; i++) {
      const someone = { did: `did:plc:${String(i).padStart(24, "a")}`, keypair: stranger.keypair };
      await ask(t, await tokenOf(someone, late()));
    }
    expect(asked.length).toBeLessThanOrEqual(30);
    expect(await ask(t, await tokenOf(stranger, late()))).toEqual(failed);
    expect((await ask(t, await tokenOf(admin, late())))[0]).toBe(200);
    ahead += 60_000;
    expect(await ask(t, await tokenOf(stranger, late()))).toEqual([403, "not a user"]);
  });

  test("are read anew at most once a minute, however many signatures are wrong", async () => {
    const admin = await network.createAccount();
    const wrong = { did: admin.did, keypair: await Secp256k1Keypair.create() };
    await using t = await start([admin.did]);
    for (let i = 0; i < 5; i++) expect(await ask(t, await tokenOf(wrong, late()))).toEqual(failed);
    await Promise.all(Array.from({ length: 5 }, async () => ask(t, await tokenOf(wrong, late()))));
    expect(asked).toHaveLength(2); // one to know it, one to be sure
    ahead += 61_000;
    expect(await ask(t, await tokenOf(wrong, late()))).toEqual(failed);
    expect(asked).toHaveLength(3);
  });

  test("that changed are known within a minute, also while somebody sends wrong signatures", async () => {
    const admin: Account = await network.createAccount();
    await using t = await start([admin.did]);
    const wrong = { did: admin.did, keypair: await Secp256k1Keypair.create() };
    expect(await ask(t, await tokenOf(wrong, late()))).toEqual(failed);
    (admin as { keypair: Keypair }).keypair = await Secp256k1Keypair.create(); // what the directory says from now on
    expect(await ask(t, await tokenOf(admin, late()))).toEqual(failed);
    ahead += 61_000;
    // Of several that come at once, none is refused because another one asked first.
    const tokens = await Promise.all(Array.from({ length: 6 }, () => tokenOf(admin, late())));
    const answers = await Promise.all(tokens.map((token) => ask(t, token)));
    expect(answers.map(([status]) => status)).toEqual(Array(6).fill(200));
  });

  test.each(["did:key:zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF", "did:example:a", "alice"])(
    "are none for %s, whose method is not used",
    async (did) => {
      const admin = await network.createAccount();
      await using t = await start([]);
      const token = await tokenOf({ did, keypair: admin.keypair });
      expect(await ask(t, token)).toEqual([400, `unsupported DID method: ${did}`]);
      expect(asked).toEqual([]);
    },
  );
});
