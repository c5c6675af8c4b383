import { afterAll, beforeAll, describe, it } from "vitest";
import type { Dialect } from "../../core/db/database.ts";
import { readCorpus, type Case } from "./cases.ts";
import { checkCase } from "./check.ts";
import { isExcepted } from "./differences.ts";
import type { CorpusEngine } from "../fixture/built-lua/plugins.ts";
import type { Instance } from "./instance.ts";
import { pending } from "./pending.ts";

/** What the corpus runs on. */
export interface CorpusSubject {
  name: string;
  engine: CorpusEngine;
  dialect: Dialect;
  /** The files of `lua/` to run. @default all */
  files?: readonly string[];
  start(): Promise<Instance>;
}

/** Every case of `lua/`, one after another on one instance. */
export function testCorpus({ name, engine, dialect, files, start }: CorpusSubject): void {
  describe(`Lua conformance of ${name}`, () => {
    let instance: Instance;
    beforeAll(async () => void (instance = await start()));
    afterAll(() => instance?.stop());

    const chosen = readCorpus().filter(({ file }) => files?.includes(file) ?? true);
    describe.each(chosen)("$file", ({ cases }) => {
      for (const one of cases.filter(({ keys }) => (keys["dialect"] ?? dialect) === dialect))
        (isToFail(engine, one) ? it.fails : it)(one.name, () => checkCase(instance, one));
    });
  });
}

function isToFail(engine: CorpusEngine, { file, name }: Case): boolean {
  const key = `${file}: ${name}`;
  return Object.hasOwn(pending, key) || isExcepted(engine, key);
}
