import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminHeaders, startApp, type TestApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";

const [sqlite] = databases();
if (!sqlite) throw new Error("SQLite is the first subject");

describe("an instance with a public URL and a base path", () => {
  let running: TestApp;
  beforeAll(async () => {
    const server = { publicUrl: "https://appview.example", basePath: "/api" };
    running = await startApp(sqlite, { server });
  });
  afterAll(() => running.stop());

  const at = (path: string, host = "appview.example", headers = {}): Promise<Response> =>
    running.request(path, { headers: { host, ...headers } });

  test("serves everything but health and metrics under it", async () => {
    expect((await at("/api/config")).status).toBe(200);
    expect(await (await at("/api/config")).json()).toMatchObject({
      public_url: "https://appview.example/api",
    });
    expect((await at("/api/admin/stats", undefined, adminHeaders)).status).toBe(200);
    for (const path of ["/health", "/health/ready", "/metrics"])
      expect((await at(path)).status, path).toBe(200);
    for (const path of ["/config", "/api/health", "/apiconfig", "/admin/stats", "/"])
      expect((await at(path, undefined, adminHeaders)).status, path).toBe(404);
  });

  test("lets pages of others read there what needs no cookie alone", async () => {
    const credentials = async (path: string, origin: string): Promise<string | null> =>
      (await at(path, undefined, { origin })).headers.get("access-control-allow-credentials");
    for (const path of ["/api/admin/stats", "/api/auth/me", "/api/admin", "/api/auth/me?x=/api/config"])
      expect(await credentials(path, "https://sibling.example"), path).toBeNull();
    expect(await credentials("/api/admin/stats", "https://appview.example")).toBe("true");
    expect(await credentials("/api/admin/stats", "http://appview.example")).toBeNull();
    expect(await credentials("/api/config?x=/admin/", "https://sibling.example")).toBe("true");
  });

  test("leads to the dashboard below it", async () => {
    for (const path of ["/api", "/api/"]) {
      const response = await at(path);
      expect(response.status).toBe(303);
      expect(response.headers.get("location")).toBe("/api/dashboard/");
    }
  });

  test("knows its public host only, not the loopback names", async () => {
    for (const host of ["localhost", "127.0.0.1", "evil.example", "", "appview.example.evil.example"])
      expect((await at("/api/config", host)).status, host).toBe(421);
    expect((await at("/api/config", "APPVIEW.example:443")).status).toBe(200);
    expect((await at("/api/config", "localhost", { "x-forwarded-host": "appview.example" })).status).toBe(
      200,
    );
  });
});
