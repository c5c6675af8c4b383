import { afterAll, beforeAll, describe } from "vitest";
import { testCorpus } from "../conformance/corpus.ts";
import { createInstance, hostEnv, type Instance } from "../conformance/instance.ts";
import type { CorpusEngine } from "../fixture/built-lua/plugins.ts";
import { adminKey } from "../setup/app.ts";
import { databases, type DatabaseSubject } from "../setup/databases.ts";
import { buildFixture, runtimes, startOutput, type Output, type Runtime } from "./_output.ts";

const everything = databases();
const sqlite = everything.slice(0, 1);

/** Node with either database runs the corpus in process (test/conformance): of its build one will do. */
const subjects: Record<Runtime, readonly DatabaseSubject[]> = { node: sqlite, bun: everything };

for (const runtime of runtimes)
  describe(`built for ${runtime}`, () => {
    let output: Output | undefined;
    beforeAll(async () => {
      output = await buildFixture("built-lua", runtime);
    });
    afterAll(() => output?.[Symbol.asyncDispose]());

    const start = (database: DatabaseSubject, engine: CorpusEngine) => (): Promise<Instance> => {
      if (!output) throw new Error("the fixture is not built");
      return startBuilt(runtime, output, database, engine);
    };
    for (const database of subjects[runtime])
      testCorpus({
        name: `the ${runtime} output on ${database.name}`,
        engine: "lua54",
        dialect: database.name,
        start: start(database, "lua54"),
      });
    // Whether the other engine and what it needs of its package are part of the build.
    for (const database of sqlite)
      testCorpus({
        name: `the ${runtime} output with fengari`,
        engine: "fengari",
        dialect: database.name,
        files: ["sandbox.lua", "values.lua"],
        start: start(database, "fengari"),
      });
  });

async function startBuilt(
  runtime: Runtime,
  output: Output,
  database: DatabaseSubject,
  engine: CorpusEngine,
): Promise<Instance> {
  const { url: databaseUrl, drop } = await database.open();
  const server = await startOutput(runtime, output, {
    DATABASE_URL: databaseUrl,
    HAPPYVIEW_ADMIN_KEY: adminKey,
    CORPUS_ENGINE: engine,
    ...hostEnv,
  });
  return createInstance({
    request: (path, init) => fetch(server.url + path, init),
    async stop() {
      server.signal("SIGTERM");
      await server.ended;
      await drop();
    },
  });
}
