import { expectTypeOf, test } from "vitest";
import { defineConfig, definePlugin, type App, type Plugin, type PluginApp } from "../../core/index.ts";

const jobs = definePlugin({
  name: "jobs",
  setup: () => ({ define: (type: string): number => type.length }),
});
const asyncApi = definePlugin({ name: "async-api", setup: async () => ({ ready: true as const }) });
const optional = definePlugin({ name: "optional", setup: (_app, _options: { limit?: number }) => undefined });
const required = definePlugin({ name: "required", setup: (_app, options: { url: string }) => options.url });

test("options are inferred from setup, and may be left out only where they may be empty", () => {
  expectTypeOf(optional).parameters.toEqualTypeOf<[options?: { limit?: number }]>();
  expectTypeOf(required).parameters.toEqualTypeOf<[options: { url: string }]>();
  optional();
  optional({ limit: 1 });
  required({ url: "x" });
  // @ts-expect-error options are required
  required();
  // @ts-expect-error a wrong type
  required({ url: 5 });
  // @ts-expect-error an unknown option
  optional({ limits: 1 });
});

test("a plugin in the config carries its API", () => {
  expectTypeOf(jobs()).toEqualTypeOf<Plugin<{ define: (type: string) => number }>>();
  expectTypeOf(required({ url: "" })).toEqualTypeOf<Plugin<string>>();
  expectTypeOf(asyncApi()).toEqualTypeOf<Plugin<{ ready: true }>>();
});

test("needs are given, wants may be missing", () => {
  definePlugin({
    name: "backfill",
    needs: { jobs },
    wants: { asyncApi },
    setup(app, options: { pages?: number }, apis) {
      expectTypeOf(app).toEqualTypeOf<PluginApp>();
      expectTypeOf(options).toEqualTypeOf<{ pages?: number }>();
      expectTypeOf(apis.jobs.define).toEqualTypeOf<(type: string) => number>();
      expectTypeOf(apis.asyncApi).toEqualTypeOf<{ ready: true } | undefined>();
      // @ts-expect-error not among the needs
      void apis.labelers;
    },
  });
  // @ts-expect-error a plugin is named by its factory, not by a string
  definePlugin({ name: "x", needs: { jobs: "jobs" }, setup: () => 1 });
});

test("hooks and contributions are typed", () => {
  definePlugin({
    name: "listener",
    setup(app) {
      app.hook("record:after", (changes) => {
        expectTypeOf(changes[0]?.action).toEqualTypeOf<"create" | "update" | "delete" | undefined>();
        expectTypeOf(changes[0]?.record).toEqualTypeOf<string | null | undefined>();
      });
      // @ts-expect-error no such moment
      app.hook("record:later", () => {});
      // @ts-expect-error a route has a method
      app.http.route("/x", () => 1);
      // @ts-expect-error a permission is required
      app.admin.route("GET /x", {}, () => 1);
      app.admin.route("GET /x", { permission: "x:read" }, ({ body, params }) => {
        expectTypeOf(body).toEqualTypeOf<undefined>();
        expectTypeOf(params["id"]).toEqualTypeOf<string | undefined>();
      });
      app.xrpc.method("a.b.c", {
        type: "query",
        handle: ({ caller }) => expectTypeOf(caller.did).toEqualTypeOf<string | null>(),
      });
    },
  });
});

test("a config takes plugins, layers and known keys", () => {
  defineConfig({
    plugins: [jobs(), required({ url: "x" })],
    $development: { server: { port: 1 } },
    extends: "./base",
  });
  // @ts-expect-error without its parentheses
  defineConfig({ plugins: [jobs] });
  // @ts-expect-error an unknown key
  defineConfig({ pluggins: [] });
  // @ts-expect-error a wrong type
  defineConfig({ server: { port: "80" } });
});

test("an app is disposable", () => {
  expectTypeOf<App>().toExtend<AsyncDisposable>();
});
