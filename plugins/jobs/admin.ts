import { HttpError, jsonText, type PluginApp } from "../../core/index.ts";
import { announce } from "./announce.ts";
import type { Archive } from "./archive.ts";
import type { JobRow } from "./job.ts";
import type { Act, Queue } from "./queue.ts";

const read = { permission: "jobs:read" };
const manage = { permission: "jobs:manage" };

const refusals: Record<Act, string> = {
  cancel: "it is over already",
  pause: "only a running job can be paused",
  resume: "only a paused job can be resumed",
};

/** `/admin/jobs` (lua §1.7). `changed` hears of every job whose status an admin changed. */
export function jobsAdmin(
  { admin, events }: Pick<PluginApp, "admin" | "events">,
  queue: Queue,
  archive: Archive,
  changed: (id: string) => void,
): void {
  const existing = async (id = ""): Promise<JobRow> => {
    const row = await archive.get(id);
    if (!row) throw new HttpError(404, `job '${id}' not found`);
    return row;
  };

  admin.route("GET /jobs", read, async ({ query }) => {
    const limit = toLimit(query);
    const status = query.get("status");
    const before = query.get("cursor")?.replace(/Z$/, "+00:00").replace(" ", "+");
    const rows = await archive.list({
      statuses: status ? [status] : undefined,
      before: before || undefined,
      limit,
    });
    const cursor = rows.length === limit ? (rows.at(-1)?.created_at ?? null) : null;
    return jsonText(`{"jobs":[${rows.map(toView).join(",")}],"cursor":${JSON.stringify(cursor)}}`);
  });
  admin.route("GET /jobs/:id", read, async ({ params }) => jsonText(toView(await existing(params["id"]))));
  admin.route("GET /jobs/:id/logs", read, async ({ params, query }) => {
    const { id } = await existing(params["id"]);
    const limit = toLimit(query);
    const after = Number.parseInt(query.get("cursor") ?? "0", 10) || 0;
    const logs = await archive.logs(id, { after, limit });
    return { logs, cursor: logs.length === limit ? String(logs.at(-1)?.id) : null };
  });
  for (const act of ["cancel", "pause", "resume"] as const)
    admin.route(`POST /jobs/:id/${act}`, manage, async ({ params }) => {
      const { id, status } = await existing(params["id"]);
      const row = await queue.act(id, act);
      if (!row) throw new HttpError(409, `cannot ${act} a job that is ${status}: ${refusals[act]}`);
      if (row.status === "cancelled") announce(events, "cancelled", row);
      changed(id);
      return { status: row.status };
    });
}

function toLimit(query: URLSearchParams): number {
  const limit = Number.parseInt(query.get("limit") ?? "", 10);
  return Number.isNaN(limit) ? 50 : Math.min(Math.max(limit, 1), 100);
}

/** The stored JSON goes out as it is: a number that JavaScript would round stays exact. */
function toView({ input, progress, result, inherit_auth, ...row }: JobRow): string {
  const rest = JSON.stringify({ ...row, inherit_auth: inherit_auth === 1 }).slice(0, -1);
  return `${rest},"input":${input},"progress":${progress},"result":${result}}`;
}
