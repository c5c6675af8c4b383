import { afterAll, beforeAll, describe, it } from "vitest";
import type { LuaScriptsOptions } from "../../plugins/lua-scripts/index.ts";
import { databases } from "../setup/databases.ts";
import { readCorpus, type Case } from "./cases.ts";
import { checkCase } from "./check.ts";
import { startInstance, type Instance } from "./instance.ts";

/** A second engine is one more line. */
const engines: Record<string, LuaScriptsOptions> = {
  lua54: {},
};

/** What the product cannot do yet. A case that begins to pass fails here, and its line goes. */
const pending: Record<string, string> = {
  "db-filters.lua: a condition without a field":
    "the `op` of a group that has no conditions is read as how it combines",
  "db-raw.lua: a function as parameter": "a function reaches the host as nil, which ends the list",
  "v3-libraries.lua: db: a text does not equal a number":
    "version 3 compares by JSON type alone; we compare as version 2.9",
  "v3-libraries.lua: db: like, not like and ilike": "`ilike` is not compiled yet",
  "v3-libraries.lua: jobs: create and get": "scripts cannot read jobs yet",
  "v3-libraries.lua: jobs: list_any": "scripts cannot read jobs yet",
};

const corpus = readCorpus();
const subjects = databases();

describe.each(Object.entries(engines))("Lua conformance of %s", (engine, options) => {
  describe.each(subjects)("on $name", (subject) => {
    let instance: Instance;
    beforeAll(async () => void (instance = await startInstance(subject, options)));
    afterAll(() => instance.stop());

    describe.each(corpus)("$file", ({ cases }) => {
      for (const one of cases.filter((each) => runsOn(each, engine, subject.name)))
        (isPending(one) ? it.fails : it)(one.name, () => checkCase(instance, one));
    });
  });
});

function isPending({ file, name }: Case): boolean {
  return `${file}: ${name}` in pending;
}

function runsOn({ keys }: Case, engine: string, dialect: string): boolean {
  const { engines: only = engine, dialect: where = dialect } = keys;
  return only.split(/[ ,]+/).includes(engine) && where === dialect;
}
