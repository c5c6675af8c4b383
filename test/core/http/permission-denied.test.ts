import { expect, it } from "vitest";
import { definePlugin, type AppHooks } from "../../../core/index.ts";
import { limitedCaller, limitedHeaders, startApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";

type LogEvent = Parameters<AppHooks["event"]>[0];

it("who is refused for want of a permission is told in the event log (admin-api §1.4)", async () => {
  const events: LogEvent[] = [];
  const listener = definePlugin({
    name: "listener",
    setup: (app) => void app.hook("event", (event) => void events.push(event)),
  });
  const [subject] = databases();
  if (!subject) throw new Error("there is no database to test on");
  await using running = await startApp(subject, { plugins: [listener(), limitedCaller()] });
  expect((await running.request("/admin/stats", { headers: limitedHeaders })).status).toBe(403);
  expect(events).toEqual([
    expect.objectContaining({
      type: "auth.permission_denied",
      severity: "warn",
      actor: "did:plc:limited",
      subject: "stats:read",
      detail: { user_id: "did:plc:limited", required_permission: "stats:read" },
    }),
  ]);
});
