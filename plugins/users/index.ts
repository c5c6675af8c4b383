import { definePlugin, HttpError, reply } from "../../core/index.ts";

/** Who is signed in to the dashboard (admin-api §1.3). Signing in itself comes with OAuth; until then nobody is. */
export const users = definePlugin({
  name: "users",
  setup(app) {
    app.http.route("GET /auth/me", () => {
      throw new HttpError(401, "not authenticated");
    });
    app.http.route("POST /auth/logout", () => reply(200, null));
  },
});
