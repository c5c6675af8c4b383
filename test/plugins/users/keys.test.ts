import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { adminHeaders } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { startPlace, type Headers, type Place } from "./_people.ts";

describe.each(databases())("API keys on $name", (subject) => {
  let network: Network;
  beforeAll(async () => (network = await createNetwork({ seed: 43 })));
  afterAll(() => network.close());

  /** An instance with its super user, and another user with some permissions. */
  async function start(permissions: readonly string[], options: { now?: () => number } = {}) {
    const t = await startPlace(subject, { network, ...options });
    const [boss, user] = [await t.person(), await t.person()];
    await t.send("GET", "/admin/stats", boss.headers);
    const [, body] = await t.send("POST", "/admin/users", boss.headers, { did: user.did, permissions });
    const { id } = body as { id: string };
    return { ...t, boss: boss.headers, user: user.headers, id };
  }
  const make = async (t: Place, by: Headers, permissions: string[], extra: object = {}) => {
    const [status, body] = await t.send("POST", "/admin/api-keys", by, { name: "ci", permissions, ...extra });
    expect(status).toBe(201);
    const made = body as { id: string; key: string; key_prefix: string };
    return { ...made, headers: { authorization: `Bearer ${made.key}` } };
  };
  const status = async (t: Place, path: string, headers: Headers): Promise<number> =>
    (await t.send("GET", path, headers))[0];
  const own = ["api-keys:create", "api-keys:read", "api-keys:delete"];

  test("are shown once, listed by their prefix, revoked by their owner only", async () => {
    await using t = await start([...own, "stats:read"]);
    const key = await make(t, t.user, ["stats:read"]);
    expect(key.key).toMatch(/^hv_[0-9a-f]{32}$/);
    expect(key.key_prefix).toBe(key.key.slice(0, 11));
    expect(await status(t, "/admin/stats", key.headers)).toBe(200);
    expect(await status(t, "/admin/stats", { authorization: `DPoP ${key.key}` })).toBe(200);
    const [, list] = await t.send("GET", "/admin/api-keys", t.user);
    expect(list).toMatchObject([{ id: key.id, key_prefix: key.key_prefix, revoked_at: null }]);
    expect(JSON.stringify(list)).not.toContain(key.key);
    expect((await t.send("GET", "/admin/api-keys", t.boss))[1]).toEqual([]);
    const gone = [404, { error: `api key '${key.id}' not found` }];
    expect(await t.send("DELETE", `/admin/api-keys/${key.id}`, t.boss)).toEqual(gone);
    expect(await t.send("DELETE", `/admin/api-keys/${key.id}`, t.user)).toEqual([204, ""]);
    expect(await t.send("DELETE", `/admin/api-keys/${key.id}`, t.user)).toEqual(gone);
    expect(await t.send("GET", "/admin/stats", key.headers)).toEqual([
      401,
      { error: "invalid or revoked API key" },
    ]);
    expect((await t.send("GET", "/admin/api-keys", t.user))[1]).toMatchObject([
      { revoked_at: expect.stringMatching(/^\d{4}-/) },
    ]);
  });

  test("cannot be given what their maker does not have, nor make a key that can more", async () => {
    await using t = await start([...own, "stats:read", "users:read"]);
    const cannot = [403, { error: "Cannot grant API key permission you don't have: settings:manage" }];
    const wish = { name: "ci", permissions: ["stats:read", "settings:manage"] };
    expect(await t.send("POST", "/admin/api-keys", t.user, wish)).toEqual(cannot);
    const maker = await make(t, t.user, ["api-keys:create"]);
    expect(
      await t.send("POST", "/admin/api-keys", maker.headers, { name: "ci", permissions: ["users:read"] }),
    ).toEqual([403, { error: "Cannot grant API key permission you don't have: users:read" }]);
  });

  test("shrink with their owner, at once", async () => {
    await using t = await start([...own, "stats:read", "users:read"]);
    const key = await make(t, t.user, ["stats:read", "users:read"]);
    expect(await status(t, "/admin/users", key.headers)).toBe(200);
    await t.send("PATCH", `/admin/users/${t.id}/permissions`, t.boss, { revoke: ["users:read"] });
    expect(await status(t, "/admin/users", key.headers)).toBe(403);
    expect(await status(t, "/admin/stats", key.headers)).toBe(200);
    await t.send("PATCH", `/admin/users/${t.id}/permissions`, t.boss, { grant: ["users:read"] });
    expect(await status(t, "/admin/users", key.headers)).toBe(200);
  });

  test("of the super user pass every check; of the instance's key, those they were given", async () => {
    await using t = await start([]);
    const superKey = await make(t, t.boss, []);
    expect(await status(t, "/admin/settings", superKey.headers)).toBe(200);
    const instanceKey = await make(t, adminHeaders, ["stats:read"]);
    expect(await status(t, "/admin/stats", instanceKey.headers)).toBe(200);
    expect(await status(t, "/admin/settings", instanceKey.headers)).toBe(403);
    const target = { target_user_id: t.id };
    expect((await t.send("POST", "/admin/users/transfer-super", instanceKey.headers, target))[0]).toBe(403);
  });

  test("end when they expire", async () => {
    let now = Date.parse("2026-05-01T00:00:00Z");
    // Tokens of accounts are made by the clock of the machine; this one only ever gains a month.
    await using t = await startPlace(subject, { network, now: () => now });
    const key = await make(t, adminHeaders, ["stats:read"], { expires_at: "2026-05-02T01:00:00+01:00" });
    expect(await status(t, "/admin/stats", key.headers)).toBe(200);
    now = Date.parse("2026-05-02T00:00:00Z");
    expect(await status(t, "/admin/stats", key.headers)).toBe(401);
    const bad = { name: "ci", permissions: [], expires_at: "tomorrow" };
    expect((await t.send("POST", "/admin/api-keys", adminHeaders, bad))[0]).toBe(422);
  });
});
