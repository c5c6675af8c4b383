import { expect, test } from "vitest";
import { moduleOfPath, modulesOf } from "../../../../plugins/lua-scripts/modules.ts";
import type { ScriptRow, Scripts } from "../../../../plugins/lua-scripts/scripts.ts";

const bodies: Record<string, string> = {
  "lib:a": "return require('lib.b')",
  "lib:b": "return require 'lib.a'",
  "lib:c": "return 1",
  "xrpc.query:a.b": "return 1",
};
const rows = Object.entries(bodies).map(([id, body]) => ({ id, body }) as ScriptRow); // all that is read of them
const scripts: Pick<Scripts, "get" | "list"> = {
  get: (id) => rows.find((row) => row.id === id),
  list: () => rows,
};

test.each([
  ["none", "return 1", undefined],
  ["only built-in ones", "local t = require('internal.time') local d = require \"happyview.db\"", undefined],
  ["one and what it names, in a cycle", "local a = require('lib.a')", ["lib.a", "lib.b"]],
  ["without parentheses", 'local c = require "lib.c"', ["lib.c"]],
  ["one that is not there", "local c = require('lib.none')", undefined],
  ["a name made at run time", "local c = require('lib.' .. name)", ["lib.a", "lib.b", "lib.c"]],
  ["a name that only begins here", "local c = require('lib.a' .. name)", ["lib.a", "lib.b", "lib.c"]],
  ["require as a value", "local load = require", ["lib.a", "lib.b", "lib.c"]],
])("the modules that travel with a script: %s", (_name, body, expected) => {
  const found = modulesOf(body, scripts);
  expect(found && Object.keys(found).toSorted()).toEqual(expected);
});

test("paths of modules", () => {
  expect(moduleOfPath("lib/dates.lua")).toBe("lib:dates");
  expect(moduleOfPath("lib/text/slug.lua")).toBe("lib:text.slug");
  expect(moduleOfPath("lib/no way.lua")).toBeUndefined();
  expect(moduleOfPath("lib/../x.lua")).toBeUndefined();
});
