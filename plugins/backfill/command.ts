import { HappyViewError, type RemoteCommand } from "../../core/index.ts";
import type { JobEvent } from "./hub.ts";
import type { JobView } from "./job.ts";
import { createScreen, describeJob } from "./screen.ts";

const verbs = ["start", "list", "watch", "pause", "resume", "cancel", "retry-failed"] as const;
type Verb = (typeof verbs)[number];

/** `happyview backfill`: starts jobs on a running server and shows how they go. */
export const backfillCommand: RemoteCommand = {
  description: "Fetch history on a running server: start, watch, pause, resume, cancel, retry-failed, list",
  args: {
    action: { type: "positional", description: `${verbs.join(" | ")}; default: start`, required: false },
    id: { type: "positional", description: "The job", required: false },
    collection: { type: "string", description: "One record collection; all of them when left out" },
    did: { type: "string", description: "These accounts only: DIDs or handles, separated by commas" },
    method: { type: "string", description: "listRecords, getRepo or archive; chosen when left out" },
    detach: { type: "boolean", description: "Start and return, without watching" },
  },
  async run({ server, args, isInteractive, signal }) {
    const verb = String(args["action"] ?? "start");
    if (!isVerb(verb)) throw usage(`there is no "happyview backfill ${verb}"`);
    if (verb === "list") {
      const jobs = await server.get<JobView[]>("/backfill/status");
      return { value: jobs, text: jobs.map(describeJob).join("\n") || "no jobs yet" };
    }
    const id = verb === "start" ? await start(server, args) : String(args["id"] ?? "");
    if (id === "") throw usage(`happyview backfill ${verb} needs the id of a job`);
    if (verb !== "start" && verb !== "watch") await server.post(`/backfill/${id}/${verb}`);
    const isWatched = !args["detach"] && verb !== "pause" && verb !== "cancel";
    if (isWatched) await watch(server, id, { isInteractive: isInteractive && !args["json"], signal });
    const job = await server.get<JobView>(`/backfill/${id}`);
    return { value: job, text: describeJob(job), failed: job.status === "failed" || job.complete === false };
  },
};

type Server = Parameters<RemoteCommand["run"]>[0]["server"];

async function start(server: Server, args: Readonly<Record<string, unknown>>): Promise<string> {
  const text = (name: string): string | undefined =>
    typeof args[name] === "string" ? args[name] : undefined;
  const { id } = await server.post<{ id: string }>("/backfill", {
    collection: text("collection"),
    dids: text("did")?.split(","),
    method: text("method"),
  });
  return id;
}

/** Until the job ends or pauses, or the reader has seen enough: the job does not depend on being watched. */
async function watch(
  server: Server,
  id: string,
  { isInteractive, signal }: { isInteractive: boolean; signal: AbortSignal },
): Promise<void> {
  const screen = createScreen(process.stderr, isInteractive);
  try {
    for await (const event of server.events<JobEvent>(`/backfill/${id}/events`, signal)) screen.show(event);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    screen.close(
      signal.aborted ? `the job goes on; watch it with: happyview backfill watch ${id}` : undefined,
    );
  }
}

function isVerb(text: string): text is Verb {
  return (verbs as readonly string[]).includes(text);
}

function usage(message: string): HappyViewError {
  return new HappyViewError("COMMAND_USAGE", { message, hint: "see happyview backfill --help" });
}
