import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { allPermissions } from "../../../plugins/users/permissions.ts";
import { adminHeaders } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { startPlace, type Headers, type Place } from "./_people.ts";

interface Shown {
  id: string;
  did: string;
  is_super: boolean;
  permissions: string[];
}

describe.each(databases())("users on $name", (subject) => {
  let network: Network;
  beforeAll(async () => (network = await createNetwork({ seed: 41 })));
  afterAll(() => network.close());

  const start = (options: object = {}): Promise<Place> => startPlace(subject, { network, ...options });
  const listed = async (t: Place, headers: Headers = adminHeaders): Promise<Shown[]> =>
    (await t.send("GET", "/admin/users", headers))[1] as Shown[];
  const add = async (t: Place, by: Headers, did: string, extra: object = {}): Promise<string> => {
    const [status, body] = await t.send("POST", "/admin/users", by, { did, ...extra });
    expect(status).toBe(201);
    return (body as { id: string }).id;
  };

  test("the first account that comes is super user, the next one is nobody", async () => {
    await using t = await start();
    const [first, second] = [await t.person(), await t.person()];
    expect((await t.send("GET", "/admin/users", first.headers))[0]).toBe(200);
    expect(await t.send("GET", "/admin/users", second.headers)).toEqual([403, { error: "not a user" }]);
    expect(await listed(t)).toMatchObject([{ did: first.did, is_super: true }]);
  });

  test("of accounts that come first at the same moment, one is super user", async () => {
    await using t = await start();
    const people = await Promise.all(Array.from({ length: 8 }, () => t.person()));
    const answers = await Promise.all(
      people.flatMap(({ headers }) => [headers, headers].map((each) => t.send("GET", "/admin/stats", each))),
    );
    expect(new Set(answers.map(([status]) => status))).toEqual(new Set([200, 403]));
    const all = await listed(t);
    expect(all.filter((user) => user.is_super)).toHaveLength(1);
    expect(all).toHaveLength(1);
  });

  test("admins of the config are users from the start, so that no stranger is first", async () => {
    const admins = await Promise.all([network.createAccount(), network.createAccount()]);
    await using t = await start({ admins: admins.map(({ did }) => did) });
    const stranger = await t.person();
    expect((await t.send("GET", "/admin/stats", stranger.headers))[0]).toBe(403);
    expect(await listed(t)).toMatchObject([
      { did: admins[0]?.did, is_super: true, permissions: [...allPermissions].toSorted() },
      { did: admins[1]?.did, is_super: false, permissions: [...allPermissions].toSorted() },
    ]);
  });

  test("are made from a template or a list, read, and removed with their keys", async () => {
    await using t = await start();
    const [boss, helper] = [await t.person(), await t.person()];
    await t.send("GET", "/admin/stats", boss.headers);
    const id = await add(t, boss.headers, helper.did, { template: "operator" });
    expect(await t.send("POST", "/admin/users", boss.headers, { did: helper.did })).toEqual([
      409,
      { error: expect.stringContaining("is a user already") },
    ]);
    expect(
      (await t.send("POST", "/admin/users", boss.headers, { did: "did:x:y", template: "boss" }))[0],
    ).toBe(422);
    const [, key] = await t.send("POST", "/admin/api-keys", helper.headers, {
      name: "k",
      permissions: ["stats:read"],
    });
    const keyHeaders = { authorization: `Bearer ${(key as { key: string }).key}` };
    expect((await t.send("GET", "/admin/stats", keyHeaders))[0]).toBe(200);
    expect((await t.send("GET", `/admin/users/${id}`, boss.headers))[1]).toMatchObject({
      id,
      is_super: false,
    });
    expect(await t.send("DELETE", `/admin/users/${id}`, boss.headers)).toEqual([204, ""]);
    expect((await t.send("GET", "/admin/stats", keyHeaders))[0]).toBe(401);
    expect((await t.send("GET", "/admin/stats", helper.headers))[0]).toBe(403);
    expect(await t.send("GET", `/admin/users/${id}`, boss.headers)).toEqual([
      404,
      { error: `user '${id}' not found` },
    ]);
  });

  test("nobody gives away what he does not have, nor changes himself or the super user", async () => {
    await using t = await start();
    const [boss, manager, third] = [await t.person(), await t.person(), await t.person()];
    await t.send("GET", "/admin/stats", boss.headers);
    const bossId = (await listed(t))[0]?.id ?? "";
    const permissions = ["users:create", "users:read", "users:update", "users:delete", "stats:read"];
    const managerId = await add(t, boss.headers, manager.did, { permissions });
    const cannot = (what: string): [number, unknown] => [
      403,
      { error: `Cannot grant permission you don't have: ${what}` },
    ];
    const create = (extra: object): Promise<[number, unknown]> =>
      t.send("POST", "/admin/users", manager.headers, { did: third.did, ...extra });
    const patch = (id: string, body: object, by = manager.headers): Promise<[number, unknown]> =>
      t.send("PATCH", `/admin/users/${id}/permissions`, by, body);
    expect(await create({ permissions: ["stats:read", "settings:manage"] })).toEqual(
      cannot("settings:manage"),
    );
    expect(await create({ template: "full_access" })).toEqual(cannot("lexicons:create"));
    const thirdId = await add(t, manager.headers, third.did, { permissions: ["stats:read"] });
    expect(await patch(thirdId, { grant: ["settings:manage"] })).toEqual(cannot("settings:manage"));
    expect(await patch(thirdId, { grant: ["made:up"] })).toEqual([
      400,
      { error: "Unrecognized permission: made:up" },
    ]);
    expect(await patch(managerId, { grant: ["stats:read"] })).toEqual([
      403,
      { error: "Cannot modify your own permissions" },
    ]);
    expect(await patch(bossId, { revoke: ["stats:read"] })).toEqual([
      403,
      { error: "Cannot modify super user's permissions" },
    ]);
    expect(await t.send("DELETE", `/admin/users/${bossId}`, manager.headers)).toEqual([
      403,
      { error: "Cannot delete the super user" },
    ]);
    expect(await t.send("DELETE", `/admin/users/${managerId}`, manager.headers)).toEqual([
      403,
      { error: "Cannot delete yourself" },
    ]);
    expect((await listed(t)).find(({ id }) => id === thirdId)?.permissions).toEqual(["stats:read"]);
    expect(await patch(thirdId, { grant: ["users:read"], revoke: ["stats:read"] })).toEqual([204, ""]);
    expect((await t.send("GET", "/admin/stats", third.headers))[0]).toBe(403);
    expect((await t.send("GET", "/admin/users", third.headers))[0]).toBe(200);
  });

  test("only the super user hands its status on, and keeps its permissions", async () => {
    await using t = await start();
    const [boss, heir] = [await t.person(), await t.person()];
    await t.send("GET", "/admin/stats", boss.headers);
    const heirId = await add(t, boss.headers, heir.did, { template: "full_access" });
    const transfer = (by: Headers, target_user_id: string): Promise<[number, unknown]> =>
      t.send("POST", "/admin/users/transfer-super", by, { target_user_id });
    const refused = [403, { error: "Only the super user can transfer super status" }];
    expect(await transfer(heir.headers, heirId)).toEqual(refused);
    expect(await transfer(adminHeaders, heirId)).toEqual(refused);
    expect(await transfer(boss.headers, "nobody")).toEqual([404, { error: "user 'nobody' not found" }]);
    expect((await listed(t)).map((user) => user.is_super)).toEqual([true, false]);
    expect(await transfer(boss.headers, heirId)).toEqual([204, ""]);
    expect((await listed(t)).map((user) => user.is_super)).toEqual([false, true]);
    expect(await transfer(boss.headers, heirId)).toEqual(refused);
    expect((await t.send("GET", "/admin/stats", boss.headers))[0]).toBe(200);
  });
});
