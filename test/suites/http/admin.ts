import { beforeAll, describe, expect, test } from "vitest";
import { getJson, jsonBody, type RunningSubject } from "./subject.ts";

interface Manifest {
  routes: { route: string; permissions: string[] }[];
}

const wrongKey = { authorization: `Bearer hv_${"0".repeat(32)}` };

/** The guard of /admin: every route of the instance, whoever contributed it, and the settings behind it. */
export function adminCases(subject: () => RunningSubject): void {
  const send = (path: string, init?: RequestInit): Promise<Response> => subject().request(path, init);

  /** What a refused request could have changed. */
  const state = async (): Promise<unknown> => ({
    lexicons: await getJson(subject(), "/admin/lexicons", subject().admin),
    settings: await getJson(subject(), "/admin/settings", subject().admin),
    stats: await getJson(subject(), "/admin/stats", subject().admin),
    events: subject().events?.(),
  });

  describe("the admin guard", () => {
    let manifest: Manifest;
    beforeAll(async () => {
      manifest = await getJson<Manifest>(subject(), "/admin/manifest", subject().admin);
    });

    test("the manifest lists routes with what they need", () => {
      expect(manifest.routes).toContainEqual({ route: "GET /admin/stats", permissions: ["stats:read"] });
      expect(manifest.routes).toContainEqual({
        route: "DELETE /admin/records/collection",
        permissions: ["records:delete-collection", "records:delete"],
      });
      expect(
        manifest.routes.every(({ permissions }) => permissions.every((p) => /^[a-z-]+:[a-z-]+$/.test(p))),
      ).toBe(true);
    });

    test.each([
      ["nobody", {}, "missing Authorization header or session cookie"],
      ["a wrong key", wrongKey, "invalid or revoked API key"],
      ["a key without its last character", "short", "invalid or revoked API key"],
      ["another scheme", { authorization: "Basic YTpi" }, "invalid Authorization scheme"],
      ["a token that is none", { authorization: "Bearer nonsense" }, "invalid JWT structure"],
    ])("%s is refused everywhere, and nothing is done", async (_, given, error) => {
      const headers =
        given === "short"
          ? { authorization: (subject().admin["authorization"] ?? "").slice(0, -1) }
          : (given as Record<string, string>);
      const before = await state();
      for (const { route } of manifest.routes) {
        const { method, path } = callOf(route);
        const body = method === "GET" ? { method, headers } : jsonBody(method, "{broken", headers);
        const response = await send(path, body);
        expect({ route, status: response.status, body: await response.json() }).toEqual({
          route,
          status: 401,
          body: { error },
        });
      }
      expect(await state()).toEqual(before);
    });

    test("a caller without the permission is refused everywhere, and nothing is done", async ({ skip }) => {
      const { limited } = subject();
      if (!limited) return skip("this subject has no such caller");
      const before = await state();
      for (const { route, permissions } of manifest.routes) {
        const { method, path } = callOf(route);
        const response = await send(
          path,
          method === "GET" ? { method, headers: limited } : jsonBody(method, {}, limited),
        );
        // A body of the wrong shape is refused first (admin-api §0.1).
        if (response.status === 422) continue;
        expect({ route, status: response.status, body: await response.json() }).toEqual({
          route,
          status: 403,
          body: { error: "InsufficientPermissions", message: `Missing permission: ${permissions[0]}` },
        });
      }
      const right = { value: "x" };
      expect((await send("/admin/settings/app_name", jsonBody("PUT", right, limited))).status).toBe(403);
      expect(await state()).toEqual(before);
    });

    test("the right key is let in", async () => {
      for (const path of ["/admin/stats", "/admin/lexicons", "/admin/settings", "/admin/records/collections"])
        expect((await send(path, { headers: subject().admin })).status).toBe(200);
    });
  });

  describe("bodies", () => {
    const post = (init: RequestInit): Promise<Response> =>
      send("/admin/lexicons", { method: "POST", ...init });

    test.each([
      ["no content type", {}, "{}", 415, /Content-Type: application\/json/],
      [
        "another content type",
        { "content-type": "text/plain" },
        "{}",
        415,
        /Content-Type: application\/json/,
      ],
      [
        "no JSON",
        { "content-type": "application/json" },
        "{broken",
        400,
        /Failed to parse the request body as JSON/,
      ],
      ["an empty body", { "content-type": "application/json" }, "", 400, /Failed to parse/],
      [
        "a missing field",
        { "content-type": "application/json" },
        "{}",
        422,
        /Failed to deserialize.*lexicon_json/,
      ],
      ["a list", { "content-type": "application/json" }, "[]", 422, /Failed to deserialize/],
      [
        "a wrong type",
        { "content-type": "application/json" },
        '{"lexicon_json":{},"backfill":"yes"}',
        422,
        /backfill/,
      ],
    ])("%s is refused as plain text", async (_, headers, body, status, text) => {
      const response = await post({
        headers: { ...subject().admin, ...(headers as Record<string, string>) },
        body: new TextEncoder().encode(body),
      });
      expect(response.status).toBe(status);
      expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
      expect(await response.text()).toMatch(text);
    });

    test("a content type with parameters, or of a JSON kind, is JSON", async () => {
      for (const type of ["application/json; charset=utf-8", "application/vnd.x+json", "Application/JSON"])
        expect(
          (await post({ headers: { ...subject().admin, "content-type": type }, body: "{}" })).status,
        ).toBe(422);
    });

    test("more than 2 MiB is too large", async () => {
      const body = JSON.stringify({ lexicon_json: "x".repeat(2 * 1024 * 1024) });
      const response = await post({
        headers: { ...subject().admin, "content-type": "application/json" },
        body,
      });
      expect(response.status).toBe(413);
    });

    test("a body nested deeper than the call stack harms nobody", async () => {
      const body = `{"lexicon_json":${"[".repeat(300_000)}${"]".repeat(300_000)}}`;
      const response = await post({
        headers: { ...subject().admin, "content-type": "application/json" },
        body,
      });
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect((await send("/health")).status).toBe(200);
    });
  });

  describe("settings", () => {
    const put = (key: string, value: unknown): Promise<Response> =>
      send(`/admin/settings/${key}`, jsonBody("PUT", { value }, subject().admin));
    const remove = (key: string): Promise<Response> =>
      send(`/admin/settings/${key}`, { method: "DELETE", headers: subject().admin });

    test("a setting acts at once, and is gone when it is removed", async () => {
      expect((await put("app_name", "Statusphere")).status).toBe(204);
      expect(await getJson(subject(), "/config")).toMatchObject({ app_name: "Statusphere" });
      expect(await getJson(subject(), "/admin/settings", subject().admin)).toContainEqual({
        key: "app_name",
        value: "Statusphere",
        source: "database",
      });
      expect((await put("app_name", "")).status).toBe(204);
      expect(await getJson(subject(), "/config")).toMatchObject({ app_name: "" });
      expect((await remove("app_name")).status).toBe(204);
      expect(await getJson(subject(), "/config")).toMatchObject({ app_name: null });
    });

    test("any key and any text is taken, anything else is not", async () => {
      expect((await put("my.own-key%2Fx", "ü\u0001")).status).toBe(204);
      expect(await getJson(subject(), "/admin/settings", subject().admin)).toContainEqual({
        key: "my.own-key/x",
        value: "ü\u0001",
        source: "database",
      });
      expect((await remove("my.own-key%2Fx")).status).toBe(204);
      for (const value of [1, null, undefined, {}]) expect((await put("x", value)).status).toBe(422);
    });

    test("one that is not stored cannot be removed", async () => {
      const response = await remove("never_stored");
      expect(response.status).toBe(404);
      expect(await response.json()).toEqual({ error: "setting 'never_stored' not found" });
    });
  });

  describe("the policy for unknown methods", () => {
    const path = "/admin/settings/xrpc-proxy";
    const put = (body: unknown): Promise<Response> => send(path, jsonBody("PUT", body, subject().admin));
    const policy = (): Promise<unknown> => getJson(subject(), path, subject().admin);

    test("what it allows is not refused by it, the rest is", async () => {
      expect((await put({ mode: "disabled", nsids: ["com.example.*"] })).status).toBe(204);
      expect(await policy()).toEqual({ mode: "disabled", nsids: [] });
      const refused = await send("/xrpc/com.example.unknown");
      expect(refused.status).toBe(403);
      expect(await refused.json()).toEqual({ error: "NSID not allowed by proxy policy" });

      expect((await put({ mode: "allowlist", nsids: ["com.example.*", "org.example.one"] })).status).toBe(
        204,
      );
      expect(await policy()).toEqual({ mode: "allowlist", nsids: ["com.example.*", "org.example.one"] });
      for (const nsid of ["com.example", "com.examples.a", "org.example.one.two", "org.example.two"])
        expect((await send(`/xrpc/${nsid}`)).status, nsid).toBe(403);

      expect((await put({ mode: "blocklist", nsids: ["com.example.*"] })).status).toBe(204);
      expect((await send("/xrpc/com.example.deep.er")).status).toBe(403);
      expect((await put({ mode: "disabled", nsids: [] })).status).toBe(204);
    });

    test.each([
      [{ mode: "allowlist", nsids: [""] }, 400, "NSID pattern must not be empty"],
      [{ mode: "allowlist", nsids: ["com"] }, 400, "NSID pattern must have at least two segments: com"],
      [{ mode: "blocklist", nsids: ["com..x"] }, 400, "NSID pattern has empty segment: com..x"],
      [
        { mode: "blocklist", nsids: ["com.ex_.x"] },
        400,
        "NSID segment contains invalid characters: com.ex_.x",
      ],
      [
        { mode: "blocklist", nsids: ["com.example"] },
        400,
        "Exact NSID must have at least three segments: com.example",
      ],
      [{ mode: "sometimes", nsids: [] }, 422, undefined],
      [{ mode: "open" }, 422, undefined],
      [{ nsids: [] }, 422, undefined],
    ])("%j is refused", async (body, status, error) => {
      const before = await policy();
      const response = await put(body);
      expect(response.status).toBe(status);
      if (error) expect(await response.json()).toEqual({ error });
      expect(await policy()).toEqual(before);
    });
  });
}

/** A call of a route, with something for each of its parameters. */
function callOf(route: string): { method: string; path: string } {
  const [method = "", pattern = ""] = route.split(" ");
  return { method, path: pattern.replaceAll(/:[a-zA-Z]+/g, "com.example.none") };
}
