import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Network } from "../../../playground/network/network.ts";
import type { TestApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import {
  openDevice,
  registerClient,
  startSessions,
  type Device,
  type TestClient,
} from "../dpop-sessions/_device.ts";

describe.each(databases())("delegation on $name", (subject) => {
  let network: Network;
  let running: TestApp;
  let client: TestClient;
  let owner: Device;
  let team: Device;

  beforeAll(async () => {
    ({ network, running } = await startSessions(subject));
    client = await registerClient(running);
  });
  afterAll(async () => {
    await running.stop();
    await network.close();
  });
  beforeEach(async () => {
    owner = await person();
    team = await person();
  });

  const person = async (of = client): Promise<Device> =>
    openDevice(running, of, (await network.createAccount()).did);
  const post = async (
    by: Device,
    method: string,
    body: unknown,
    clientKey?: string,
  ): Promise<[number, string?]> => {
    const options = clientKey === undefined ? { body } : { body, clientKey };
    const response = await by.ask("POST", `/xrpc/dev.happyview.delegation.${method}`, options);
    const { error } = (await response.json()) as { error?: string };
    return error === undefined ? [response.status] : [response.status, error];
  };
  const get = async (by: Device, method: string, query = ""): Promise<[number, unknown]> => {
    const response = await by.ask("GET", `/xrpc/dev.happyview.delegation.${method}${query}`);
    return [response.status, await response.json()];
  };
  const link = (): Promise<[number, string?]> => post(owner, "linkAccount", { did: team.did });
  const add = (by: Device, user: Device, role: string): Promise<[number, string?]> =>
    post(by, "addDelegate", { accountDid: team.did, userDid: user.did, role });

  it("whoever links an account owns it", async () => {
    expect(await link()).toEqual([201]);
    expect(await get(owner, "getAccount", `?did=${team.did}`)).toEqual([
      200,
      { did: team.did, role: "owner", linkedBy: owner.did, createdAt: expect.any(String) },
    ]);
    expect(await link()).toEqual([409, "account is already linked"]);
    expect(await get(owner, "listAccounts")).toEqual([
      200,
      { accounts: [{ did: team.did, role: "owner", createdAt: expect.any(String) }] },
    ]);
  });

  it("an account that never signed in by this app, and one's own, cannot be linked", async () => {
    const absent = (await network.createAccount()).did;
    expect((await post(owner, "linkAccount", { did: absent }))[0]).toBe(400);
    expect(await post(owner, "linkAccount", { did: owner.did })).toEqual([
      400,
      "cannot link your own account as a delegate",
    ]);
  });

  it("an account unlinks itself, whoever linked it, and keeps its sessions", async () => {
    await link();
    expect(await post(team, "unlinkAccount", { did: team.did })).toEqual([200]);
    expect((await get(owner, "getAccount", `?did=${team.did}`))[0]).toBe(404);
    expect((await get(team, "listAccounts"))[0]).toBe(200);
    expect(await post(team, "unlinkAccount", { did: team.did })).toEqual([
      404,
      "delegated account not found",
    ]);
  });

  it("owners and admins add delegates, members do not", async () => {
    await link();
    const [admin, member, other] = [await person(), await person(), await person()];
    expect(await add(owner, admin, "admin")).toEqual([201]);
    expect(await add(admin, member, "member")).toEqual([201]);
    expect(await add(member, other, "member")).toEqual([403, "only owners and admins can add delegates"]);
    expect((await add(owner, member, "member"))[0]).toBe(409);
    expect((await add(owner, other, "owner"))[0]).toBe(400);
    expect(await add(owner, other, "boss")).toEqual([400, "role must be 'admin' or 'member'"]);
    const [status, listed] = await get(admin, "listDelegates", `?accountDid=${team.did}`);
    expect(status).toBe(200);
    expect((listed as { delegates: { userDid: string }[] }).delegates.map(({ userDid }) => userDid)).toEqual([
      owner.did,
      admin.did,
      member.did,
    ]);
    expect((await get(member, "listDelegates", `?accountDid=${team.did}`))[0]).toBe(403);
    expect((await get(other, "getAccount", `?did=${team.did}`))[0]).toBe(404);
  });

  it("the owner removes anybody but himself, an admin members only", async () => {
    await link();
    const [admin, second, member] = [await person(), await person(), await person()];
    for (const [who, role] of [
      [admin, "admin"],
      [second, "admin"],
      [member, "member"],
    ] as const)
      await add(owner, who, role);
    const remove = (by: Device, who: Device): Promise<[number, string?]> =>
      post(by, "removeDelegate", { accountDid: team.did, userDid: who.did });
    expect((await remove(admin, second))[0]).toBe(403);
    expect((await remove(admin, owner))[0]).toBe(403);
    expect(await remove(admin, member)).toEqual([200]);
    expect((await remove(admin, member))[0]).toBe(404);
    expect(await remove(owner, admin)).toEqual([200]);
  });

  it("unlinking is the owner's, and ends the account's sessions of the app", async () => {
    await link();
    const admin = await person();
    await add(owner, admin, "admin");
    expect(await post(admin, "unlinkAccount", { did: team.did })).toEqual([
      403,
      "only the owner can unlink an account",
    ]);
    expect(await post(owner, "unlinkAccount", { did: team.did })).toEqual([200]);
    expect((await get(owner, "getAccount", `?did=${team.did}`))[0]).toBe(404);
    expect((await get(team, "listAccounts"))[0]).toBe(401);
  });

  it("another app has no part in it", async () => {
    await link();
    const elsewhere = await openDevice(running, await registerClient(running), owner.did);
    expect(await get(elsewhere, "getAccount", `?did=${team.did}`)).toEqual([
      403,
      { error: "delegation is scoped to a different application" },
    ]);
    expect(await get(elsewhere, "listAccounts")).toEqual([200, { accounts: [] }]);
  });
});

describe.each(databases())("delegation with consent on $name", (subject) => {
  it("links an account for whom it names, once, with the app that it names it by", async () => {
    const { network, running } = await startSessions(subject, { consent: true });
    try {
      const [client, other] = [await registerClient(running), await registerClient(running)];
      const [teamDid, ownerDid] = [(await network.createAccount()).did, (await network.createAccount()).did];
      const open = (did: string, of = client): Promise<Device> => openDevice(running, of, did);
      const [team, owner, elsewhere] = [
        await open(teamDid),
        await open(ownerDid),
        await open(teamDid, other),
      ];
      const ask = async (by: Device, method: string, body: object): Promise<number> =>
        (await by.ask("POST", `/xrpc/dev.happyview.delegation.${method}`, { body })).status;
      const link = (): Promise<number> => ask(owner, "linkAccount", { did: teamDid });
      expect(await link()).toBe(403);
      expect(await ask(elsewhere, "allowLink", { userDid: ownerDid })).toBe(200);
      expect(await link()).toBe(403);
      expect(await ask(team, "allowLink", { userDid: "did:plc:someoneelse" })).toBe(200);
      expect(await link()).toBe(403);
      expect(await ask(team, "allowLink", { userDid: ownerDid })).toBe(200);
      expect(await link()).toBe(201);
      expect(await ask(team, "unlinkAccount", { did: teamDid })).toBe(200);
      expect(await link()).toBe(403);
    } finally {
      await running.stop();
      await network.close();
    }
  });
});
