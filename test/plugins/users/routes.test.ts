import { describe, expect, test } from "vitest";
import { apiClients } from "../../../plugins/api-clients/index.ts";
import { backfill } from "../../../plugins/backfill/index.ts";
import { dbFilters } from "../../../plugins/db-filters/index.ts";
import { deadLetters } from "../../../plugins/dead-letters/index.ts";
import { eventLog } from "../../../plugins/event-log/index.ts";
import { firehose } from "../../../plugins/firehose/index.ts";
import { jobs } from "../../../plugins/jobs/index.ts";
import { labelers } from "../../../plugins/labelers/index.ts";
import { luaScripts } from "../../../plugins/lua-scripts/index.ts";
import { networkLexicons } from "../../../plugins/network-lexicons/index.ts";
import { users } from "../../../plugins/users/index.ts";
import { allPermissions, isPermission } from "../../../plugins/users/permissions.ts";
import { adminHeaders, startApp, type TestApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { jsonBody } from "../../suites/http/subject.ts";

interface Route {
  route: string;
  permissions: string[];
}

type Headers = Record<string, string>;

describe.each(databases())("every admin route on $name", (subject) => {
  const start = (): Promise<TestApp> =>
    startApp(
      subject,
      {
        plugins: [
          users(),
          apiClients(),
          backfill(),
          dbFilters(),
          deadLetters(),
          eventLog(),
          firehose(),
          jobs(),
          labelers(),
          luaScripts(),
          networkLexicons(),
        ],
      },
      { background: false },
    );

  test("asks for permissions that can be granted, and lets nobody through who lacks one", async () => {
    await using t = await start();
    const manifest = await t.request("/admin/manifest", { headers: adminHeaders });
    const { routes } = (await manifest.json()) as { routes: Route[] };
    expect(routes.length).toBeGreaterThan(50);
    expect(routes.flatMap(({ permissions }) => permissions).filter((each) => !isPermission(each))).toEqual(
      [],
    );
    const keys = new Map<string, Promise<Headers>>();
    const keyWith = (permissions: readonly string[]): Promise<Headers> => {
      const name = permissions.join(" ");
      const known = keys.get(name) ?? makeKey(t, permissions);
      keys.set(name, known);
      return known;
    };
    for (const { route, permissions } of routes) {
      expect({ route, status: await ask(t, route, {}) }).toEqual({ route, status: 401 });
      for (const lacking of permissions) {
        const others = allPermissions.filter((each) => each !== lacking);
        expect({ route, status: await ask(t, route, await keyWith(others)) }).toEqual({
          route,
          status: expect.toBeOneOf([403, 422]), // a body of the wrong shape is refused first
        });
      }
      if (permissions.length === 0) continue;
      // The right ones are enough: what is refused now is what the request asks for.
      expect({ route, status: await ask(t, route, await keyWith(permissions)) }).toEqual({
        route,
        status: expect.not.toBeOneOf([401, 403, 500]),
      });
    }
  });
});

async function makeKey(t: TestApp, permissions: readonly string[]): Promise<Headers> {
  const body = { name: "one", permissions };
  const response = await t.request("/admin/api-keys", jsonBody("POST", body, adminHeaders));
  const { key } = (await response.json()) as { key: string };
  return { authorization: `Bearer ${key}` };
}

async function ask(t: TestApp, route: string, headers: Headers): Promise<number> {
  const [method = "", path = ""] = route.split(" ");
  const concrete = path.replace(/:\w+|\*\*/g, "none");
  const abort = new AbortController();
  const init = method === "GET" ? { method, headers } : jsonBody(method, {}, headers);
  const response = await t.request(concrete, { ...init, signal: abort.signal });
  await response.body?.cancel(); // a stream of events would not end
  abort.abort();
  return response.status;
}
