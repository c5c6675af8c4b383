import { describe, expect, test } from "vitest";
import type { RunningSubject } from "./subject.ts";

/** What everybody may ask, and how requests are refused before they reach a handler. */
export function publicCases(subject: () => RunningSubject): void {
  const send = (path: string, init?: RequestInit): Promise<Response> => subject().request(path, init);

  describe("public routes", () => {
    test("/health answers ok, for any host", async () => {
      for (const headers of [{}, { "x-forwarded-host": "elsewhere.example" }]) {
        const response = await send("/health", { headers });
        expect(response.status).toBe(200);
        expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
        expect(await response.text()).toBe("ok");
      }
    });

    test("/health/ready says what it looked at", async () => {
      const response = await send("/health/ready");
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({
        ready: true,
        checks: { database: { ok: true, detail: { dialect: subject().dialect } } },
      });
    });

    test("/metrics is Prometheus text", async () => {
      const response = await send("/metrics");
      expect(response.status).toBe(200);
      expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=/);
    });

    test("/config has HappyView's fields", async () => {
      const response = await send("/config");
      expect(response.status).toBe(200);
      const config = (await response.json()) as Record<string, unknown>;
      expect(Object.keys(config).toSorted()).toEqual([
        "app_name",
        "database_backend",
        "default_rate_limit_capacity",
        "default_rate_limit_refill_rate",
        "features",
        "jetstream_url",
        "logo_url",
        "plc_url",
        "public_url",
        "relay_url",
        "version",
      ]);
      expect(config).toMatchObject({ database_backend: subject().dialect, features: { spaces: false } });
      expect(config["version"]).toMatch(/^\d+\.\d+\.\d+/);
    });

    test("/ leads to the dashboard", async () => {
      const response = await send("/");
      expect(response.status).toBe(303);
      expect(new URL(response.headers.get("location") ?? "", "http://localhost").pathname).toBe(
        "/dashboard/",
      );
    });

    test("HEAD is GET without a body", async () => {
      const response = await send("/health", { method: "HEAD" });
      expect(response.status).toBe(200);
      expect(await response.text()).toBe("");
    });
  });

  describe("refusals", () => {
    test.each(["/nothing", "/admin/nothing", "/xrpc/a.b.c/d"])("%s is not found", async (path) => {
      expect((await send(path)).status).toBe(404);
    });

    test("an unknown page is HTML, an unknown endpoint is not", async () => {
      expect((await send("/nothing")).headers.get("content-type")).toMatch(/^text\/html/);
      expect((await send("/admin/nothing")).headers.get("content-type")).toMatch(/^text\/plain/);
    });

    test.each([
      ["PUT", "/xrpc/com.example.a", ["GET", "POST"]],
      ["DELETE", "/xrpc/com.example.a", ["GET", "POST"]],
      ["POST", "/health", ["GET"]],
      ["PATCH", "/admin/lexicons", ["GET", "POST"]],
      ["POST", "/admin/stats", ["GET"]],
    ])("%s %s is not allowed, and what is", async (method, path, allowed) => {
      const response = await send(path, { method });
      expect(response.status).toBe(405);
      expect((response.headers.get("allow") ?? "").split(", ").toSorted()).toEqual(allowed);
    });

    test.each(["/config", "/xrpc/com.example.a", "/oauth/authorize", "/.well-known/did.json"])(
      "%s under a host that is not ours is misdirected",
      async (path) => {
        const response = await send(path, { headers: { "x-forwarded-host": "elsewhere.example" } });
        expect(response.status).toBe(421);
        expect(await response.text()).toBe("Unknown host");
      },
    );

    test.each(["localhost", "localhost:3000", "LOCALHOST", "127.0.0.1:80", "[::1]:3000"])(
      "the host %s is ours",
      async (host) => {
        expect((await send("/config", { headers: { "x-forwarded-host": host } })).status).toBe(200);
      },
    );

    test("admin routes and pages answer for every host", async () => {
      const headers = { "x-forwarded-host": "elsewhere.example" };
      expect((await send("/admin/stats", { headers })).status).toBe(401);
      expect((await send("/", { headers })).status).toBe(303);
    });

    test("a path with a broken escape is a bad request", async () => {
      expect((await send("/admin/lexicons/%zz", { headers: subject().admin })).status).toBe(400);
    });
  });

  describe("CORS", () => {
    const origin = "https://app.example";

    test.each([
      ["/health", "true"],
      ["/config", "true"],
      ["/xrpc/com.example.unknown", "true"],
      ["/oauth/sessions/did:plc:a", "true"],
      ["/nothing", "true"],
      ["/adminx", "true"],
      ["/admin/stats", null],
      ["/admin/nothing", null],
      ["/auth/me", null],
    ])(
      "%s mirrors the origin, whatever the status, and lets it send credentials: %s",
      async (path, credentials) => {
        const { headers } = await send(path, { headers: { origin, authorization: "Basic x" } });
        expect(headers.get("access-control-allow-origin")).toBe(origin);
        expect(headers.get("access-control-allow-credentials")).toBe(credentials);
        expect(headers.get("access-control-expose-headers")).toMatch(/RateLimit-Remaining/);
        expect(headers.get("vary")?.toLowerCase()).toContain("origin");
      },
    );

    test.each(["GET", "OPTIONS"])(
      "pages of the instance's own domains send their cookie: %s",
      async (method) => {
        const listed = await send("/admin/domains", { headers: subject().admin });
        const [own] = (await listed.json()) as { url: string }[];
        const { headers } = await send("/admin/stats", { method, headers: { origin: own?.url ?? "" } });
        expect(headers.get("access-control-allow-origin")).toBe(own?.url);
        expect(headers.get("access-control-allow-credentials")).toBe("true");
        for (const other of [`${own?.url}.evil.example`, "https://localhost", "null", "http://localhost:1"]) {
          const answer = await send("/admin/stats", { method, headers: { origin: other } });
          expect([other, answer.headers.get("access-control-allow-credentials")]).toEqual([other, null]);
        }
      },
    );

    test("nothing is added where no origin asks", async () => {
      const { headers } = await send("/config");
      expect(headers.get("access-control-allow-origin")).toBeNull();
    });

    test.each(["/xrpc/com.example.a", "/admin/lexicons", "/nothing"])(
      "a preflight of %s passes",
      async (path) => {
        const response = await send(path, {
          method: "OPTIONS",
          headers: {
            origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "dpop",
          },
        });
        expect(response.status).toBe(204);
        expect(response.headers.get("access-control-allow-origin")).toBe(origin);
        expect(response.headers.get("access-control-allow-credentials")).toBe(
          path.startsWith("/admin/") ? null : "true",
        );
        for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"])
          expect(response.headers.get("access-control-allow-methods")).toContain(method);
        for (const name of [
          "content-type",
          "authorization",
          "dpop",
          "x-client-key",
          "x-csrf-token",
          "atproto-accept-labelers",
        ])
          expect(response.headers.get("access-control-allow-headers")).toContain(name);
      },
    );
  });
}
