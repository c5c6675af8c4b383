import { afterAll, beforeAll, describe } from "vitest";
import { adminHeaders, adminKey } from "../setup/app.ts";
import { databases, type DatabaseSubject } from "../setup/databases.ts";
import { testHttp } from "../suites/http.ts";
import { jsonBody, type HttpSubject } from "../suites/http/subject.ts";
import { buildFixture, runtimes, startOutput, type Output, type Runtime } from "./_output.ts";

for (const runtime of runtimes)
  describe(`built for ${runtime}`, () => {
    let output: Output | undefined;
    beforeAll(async () => {
      output = await buildFixture("built-http", runtime);
    });
    afterAll(() => output?.[Symbol.asyncDispose]());

    const built = (): Output => {
      if (!output) throw new Error("the fixture is not built");
      return output;
    };
    for (const database of databases()) testHttp(subjectOf(runtime, built, database));
  });

function subjectOf(runtime: Runtime, built: () => Output, database: DatabaseSubject): HttpSubject {
  return {
    name: `the ${runtime} output on ${database.name}`,
    async start() {
      const { url: databaseUrl, drop } = await database.open();
      const server = await startOutput(runtime, built(), {
        DATABASE_URL: databaseUrl,
        HAPPYVIEW_ADMIN_KEY: adminKey,
      });
      const request = (path: string, init: RequestInit = {}): Promise<Response> =>
        fetch(server.url + path, { redirect: "manual", ...init });
      return {
        dialect: database.name,
        admin: adminHeaders,
        request,
        async ingest(events) {
          const { status } = await request("/intake", jsonBody("POST", events));
          if (status !== 204) throw new Error(`the intake answers ${status}`);
        },
        async stop() {
          server.signal("SIGTERM");
          await server.ended;
          await drop();
        },
      };
    },
  };
}
