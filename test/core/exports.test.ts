import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import * as happyview from "../../core/index.ts";

// A name here is a promise to users: adding one is a decision, taking one away breaks somebody.
test("the values that `happyview` exports", () => {
  expect(Object.keys(happyview).toSorted()).toMatchInlineSnapshot(`
    [
      "HappyViewError",
      "HttpError",
      "PdsAuthError",
      "createApp",
      "createLogger",
      "defineConfig",
      "definePlugin",
      "defineSchema",
      "html",
      "isHappyViewError",
      "isHttpError",
      "json",
      "jsonText",
      "loadConfig",
      "readProject",
      "redirect",
      "reply",
      "text",
    ]
  `);
});

test("the types that `happyview` exports", async () => {
  const source = await readFile(new URL("../../core/index.ts", import.meta.url), "utf8");
  const types = new Set<string>();
  for (const [, isType, list = ""] of source.matchAll(/export (type )?\{([^}]*)\}/g))
    for (const name of list
      .split(",")
      .map((part) => part.trim())
      .filter(Boolean))
      if (isType || name.startsWith("type ")) types.add(name.replace(/^type /, ""));
  expect([...types].toSorted()).toMatchInlineSnapshot(`
    [
      "AccountEvent",
      "App",
      "AppHooks",
      "AppOptions",
      "AppliedChange",
      "Caller",
      "CallerStrategy",
      "CommitEvent",
      "Config",
      "ErrorCode",
      "HttpRequest",
      "IdentityEvent",
      "Intake",
      "LexiconOptions",
      "LoadedConfig",
      "Logger",
      "Migration",
      "Mode",
      "Origin",
      "PdsAnswer",
      "PdsSession",
      "PdsWriter",
      "Plugin",
      "PluginApp",
      "PluginCommand",
      "PluginFactory",
      "RecordBeforeEvent",
      "RecordInterceptor",
      "RemoteCommand",
      "Reply",
      "ResourceChange",
      "ResourceKind",
      "SourceEvent",
      "StreamPosition",
      "SyncEvent",
      "UserConfig",
      "UserConfigLayers",
      "XrpcCall",
      "XrpcMethod",
    ]
  `);
});
