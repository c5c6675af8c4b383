import { describe, expect, it } from "vitest";
import { limitedHeaders } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { jsonBody } from "../../suites/http/subject.ts";
import { author, eventually, start, uriOf } from "./_bench.ts";

const [one, two] = ["did:plc:labelerone", "did:plc:labelertwo"];

describe.each(databases())("/admin/labelers on $name", (subject) => {
  it("lists none, then those that were added, in that order", async () => {
    const bench = await start(subject);
    expect(await bench.subscriptions()).toEqual([]);
    expect(await bench.admin("POST", "", { did: two })).toEqual({ status: 201, body: "" });
    expect(await bench.admin("POST", "", { did: one })).toEqual({ status: 201, body: "" });
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$/);
    expect(await bench.subscriptions()).toEqual(
      [two, one].map((did) => ({ did, status: "active", cursor: null, created_at: time, updated_at: time })),
    );
    expect(bench.events.filter(({ type }) => type === "labeler.added")).toMatchObject([
      { severity: "info", subject: two, actor: null },
      { subject: one },
    ]);
  });

  it("reactivates one that is added again", async () => {
    const bench = await start(subject);
    await bench.admin("POST", "", { did: one });
    expect((await bench.admin("PATCH", `/${one}`, { status: "paused" })).status).toBe(204);
    expect(await bench.subscriptions()).toMatchObject([{ did: one, status: "paused" }]);
    expect((await bench.admin("POST", "", { did: one })).status).toBe(201);
    expect(await bench.subscriptions()).toMatchObject([{ did: one, status: "active" }]);
  });

  it("takes any status, of which only active is read", async () => {
    const bench = await start(subject);
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    await eventually(() => expect(labeler.clients).toBe(1));
    expect(await bench.admin("PATCH", `/${labeler.did}`, { status: "on hold" })).toEqual({
      status: 204,
      body: "",
    });
    expect(await bench.subscriptions()).toMatchObject([{ status: "on hold" }]);
    await eventually(() => expect(labeler.clients).toBe(0));
    expect((await bench.admin("PATCH", `/${labeler.did}`, { status: "x".repeat(65) })).status).toBe(422);
    expect(bench.events.filter(({ type }) => type === "labeler.updated")).toMatchObject([
      { severity: "info", subject: labeler.did, detail: { status: "on hold" } },
    ]);
  });

  it("deletes a subscription with its labels and no other's, and begins anew when it is added again", async () => {
    const bench = await start(subject);
    const [labeler, other] = [await bench.network.createLabeler(), await bench.network.createLabeler()];
    await bench.add(labeler, other);
    await labeler.emit({ uri: uriOf("a"), val: "mine" }, { uri: author, val: "mine" });
    await labeler.emit({ uri: uriOf("a"), val: "gone", neg: true });
    await other.emit({ uri: uriOf("a"), val: "other" });
    await bench.reads(labeler);
    await bench.reads(other);
    expect(await bench.admin("DELETE", `/${labeler.did}`)).toEqual({ status: 204, body: "" });
    expect(await bench.subscriptions()).toMatchObject([{ did: other.did }]);
    expect(await bench.shown()).toEqual(["a other"]);
    expect(await bench.app.db.all("SELECT * FROM happyview_ended_labels")).toEqual([]);
    await eventually(() => expect(labeler.clients).toBe(0));
    expect(bench.events.filter(({ type }) => type === "labeler.deleted")).toMatchObject([
      { severity: "info", subject: labeler.did },
    ]);
    await bench.add(labeler);
    await bench.reads(labeler);
    expect(await bench.shown()).toEqual([`${author} mine`, "a mine", "a other"].toSorted());
  });

  it("finishes a removal that a crash cut short", async () => {
    const bench = await start(subject);
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    await labeler.emit({ uri: uriOf("a"), val: "one" });
    await bench.reads(labeler);
    await bench.app.db.run("UPDATE happyview_labeler_subscriptions SET removed_at = ?", [
      "2026-01-01T00:00:00Z",
    ]);
    await eventually(async () =>
      expect(await bench.app.db.all("SELECT did FROM happyview_labeler_subscriptions")).toEqual([]),
    );
    expect(await bench.labels()).toEqual([]);
  });

  it.each([
    ["PATCH", { status: "paused" }],
    ["DELETE", undefined],
  ])("answers 404 to %s of an unknown one", async (method, body) => {
    const bench = await start(subject);
    expect(await bench.admin(method, `/${one}`, body)).toEqual({
      status: 404,
      body: { error: `labeler subscription '${one}' not found` },
    });
    expect(bench.events).toEqual([]);
  });

  it("refuses what is no DID, and more than there can be", async () => {
    const bench = await start(subject, { options: { maxLabelers: 1 } });
    for (const did of ["", "alice.test", "did:plc:", `did:plc:${"a".repeat(300)}`])
      expect(await bench.admin("POST", "", { did })).toMatchObject({
        status: 400,
        body: { error: expect.stringContaining("invalid DID") },
      });
    await bench.admin("POST", "", { did: one });
    expect((await bench.admin("POST", "", { did: one })).status).toBe(201);
    expect(await bench.admin("POST", "", { did: two })).toEqual({
      status: 400,
      body: { error: "there are 1 labelers already" },
    });
    expect(await bench.subscriptions()).toHaveLength(1);
  });

  it.each([
    ["GET", "", "labelers:read"],
    ["POST", "", "labelers:create"],
    ["PATCH", `/${one}`, "labelers:create"],
    ["DELETE", `/${one}`, "labelers:delete"],
  ])("%s %s needs %s", async (method, path, permission) => {
    const bench = await start(subject);
    await bench.admin("POST", "", { did: one });
    const before = await bench.subscriptions();
    const ask = (headers: Record<string, string>): Promise<Response> =>
      bench.request(
        `/admin/labelers${path}`,
        method === "GET" ? { headers } : jsonBody(method, { did: two, status: "paused" }, headers),
      );
    expect((await ask({})).status).toBe(401);
    const limited = await ask(limitedHeaders);
    expect([limited.status, await limited.json()]).toEqual([
      403,
      { error: "InsufficientPermissions", message: `Missing permission: ${permission}` },
    ]);
    expect(await bench.subscriptions()).toEqual(before);
    expect(bench.events.map(({ type }) => type).filter((type) => /added|updated|deleted/.test(type))).toEqual(
      ["labeler.added"],
    );
  });
});
