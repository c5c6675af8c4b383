import type { PluginApp } from "../../core/index.ts";
import type { SqlValue } from "../../core/db/database.ts";
import type { Recorder } from "./recorder.ts";

interface EventRow {
  id: string;
  event_type: string;
  severity: string;
  actor_did: string | null;
  subject: string | null;
  detail: string;
  created_at: string;
}

/** `GET /admin/events` (admin-api §2.10). */
export function eventsAdmin({ admin, db }: Pick<PluginApp, "admin" | "db">, recorder: Recorder): void {
  admin.route("GET /events", { permission: "events:read" }, async ({ query }) => {
    await recorder.flush(); // an admin who did something looks for its entry at once
    const limit = Math.min(Math.max(Number.parseInt(query.get("limit") ?? "50", 10) || 50, 1), 100);
    const { where, params } = conditions(query);
    const rows = await db.all<EventRow>(
      `SELECT id, event_type, severity, actor_did, subject, detail, created_at FROM happyview_event_logs
       ${where} ORDER BY created_at DESC LIMIT ?`,
      [...params, limit],
    );
    const last = rows.at(-1);
    return {
      events: rows.map((row) => ({
        ...row,
        detail: JSON.parse(row.detail) as unknown,
        created_at: row.created_at.replace("+00:00", "Z"),
      })),
      ...(rows.length === limit && last ? { cursor: last.created_at } : {}),
    };
  });
}

function conditions(query: URLSearchParams): { where: string; params: SqlValue[] } {
  const parts: string[] = [];
  const params: SqlValue[] = [];
  const add = (sql: string, ...values: SqlValue[]): void => {
    parts.push(sql);
    params.push(...values);
  };
  const list = (name: string): string[] => (query.get(name) ?? "").split(",").filter(Boolean).slice(0, 20);
  const type = query.get("event_type");
  if (type) add("event_type = ?", type);
  const categories = list("category");
  if (categories.length > 0)
    add(
      `(${categories.map(() => like("event_type")).join(" OR ")})`,
      ...categories.map((category) => pattern(`${category}.%`)),
    );
  const severities = list("severity");
  if (severities.length > 0) add(`severity IN (${severities.map(() => "?").join(", ")})`, ...severities);
  const subject = query.get("subject");
  if (subject) add(like("subject"), pattern(`%${subject}%`));
  // The stamp alone is enough: a process never gives one twice (core/clock.ts).
  const cursor = query.get("cursor");
  if (cursor) add("created_at < ?", cursor.replace(/Z$/, "+00:00").replace(" ", "+"));
  return { where: parts.length > 0 ? `WHERE ${parts.join(" AND ")}` : "", params };
}

/** LIKE as HappyView has it, % and _ wild; of itself it ignores case on SQLite only, and escapes with a backslash on Postgres only. */
function like(column: string): string {
  return `lower(${column}) LIKE lower(?) ESCAPE '\\'`;
}

function pattern(text: string): string {
  return text.replaceAll("\\", "\\\\");
}
