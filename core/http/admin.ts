import type { z } from "zod";
import { HappyViewError, Rejection } from "../errors.ts";
import type { Events } from "../events.ts";
import { identifyAdmin, isAllowed, permissionDenied, type Caller, type Callers } from "./caller.ts";
import { readJson, type HttpRequest } from "./request.ts";
import type { Method, Router } from "./router.ts";

export interface AdminContext<Body> {
  params: Readonly<Record<string, string>>;
  query: URLSearchParams;
  body: Body;
  caller: Caller;
  /** For what is no JSON body. */
  request: HttpRequest;
}

export interface AdminRoute<Schema extends z.ZodType> {
  /** One permission id, or all of several (admin-api §1.5). */
  permission: string | readonly string[];
  /** The JSON body's shape; a body that does not have it is refused with 422. */
  body?: Schema;
}

export interface AdminRoutes {
  /**
   * A route under /admin. Checked in HappyView's order: credential, body, permission, then the handler (admin-api §0.1).
   * @example app.admin.route("GET /jobs/:id", { permission: "jobs:read" }, ({ params }) => jobs.get(params.id));
   */
  route<Schema extends z.ZodType = z.ZodUndefined>(
    pattern: `${Method} /${string}`,
    options: AdminRoute<Schema>,
    handler: (context: AdminContext<z.infer<Schema>>) => unknown,
  ): void;
  /** Every route with what it needs, for `GET /admin/manifest`. */
  list(): { route: string; permissions: string[] }[];
}

export function createAdminRoutes(
  router: Router,
  callers: Callers,
  adminKey: string | undefined,
  events: Pick<Events, "emit">,
): AdminRoutes {
  if (adminKey !== undefined && !/^hv_.{16,}$/.test(adminKey))
    throw new HappyViewError("CONFIG_INVALID", {
      message: "HAPPYVIEW_ADMIN_KEY is not an admin key",
      hint: "use hv_ and at least 16 random characters, for example hv_$(openssl rand -hex 16)",
    });
  const routes: { route: string; permissions: string[] }[] = [];
  return {
    route(pattern, options, handler) {
      const [method, path] = pattern.split(" ", 2) as [Method, string]; // the pattern's type says so
      const permissions = [options.permission].flat();
      routes.push({ route: `${method} /admin${path}`, permissions });
      router.route(
        `${method} /admin${path}`,
        async ({ request, params, query }) => {
          const caller = await identifyAdmin(request, callers, adminKey);
          const body = options.body ? parseBody(options.body, await readJson(request)) : undefined;
          for (const permission of permissions) {
            if (isAllowed(caller, permission)) continue;
            const detail = { user_id: caller.did, required_permission: permission };
            events.emit({
              type: "auth.permission_denied",
              severity: "warn",
              actor: caller.did,
              subject: permission,
              detail,
            });
            throw permissionDenied(permission);
          }
          // Without a schema the body is undefined, which is what z.ZodUndefined infers.
          return handler({ params, query: new URLSearchParams(query), body: body as never, caller, request });
        },
        { anyHost: true },
      );
    },
    list: () => routes,
  };
}

/** A query parameter that must be there. */
export function requiredQuery(query: URLSearchParams, name: string): string {
  const value = query.get(name);
  if (value === null)
    throw new Rejection(400, `Failed to deserialize query string: missing field \`${name}\``);
  return value;
}

/** A body in the shape of a schema. @throws Rejection 422 */
export function parseBody<Schema extends z.ZodType>(schema: Schema, value: unknown): z.infer<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue?.path.length ? `${issue.path.join(".")}: ` : "";
  throw new Rejection(
    422,
    `Failed to deserialize the JSON body into the target type: ${where}${issue?.message ?? ""}`,
  );
}
