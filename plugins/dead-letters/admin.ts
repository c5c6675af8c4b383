import { z } from "zod";
import { explain, isHttpError } from "../../core/errors.ts";
import { HttpError, type PluginApp } from "../../core/index.ts";
import type { Again } from "./again.ts";
import type { Letter, Letters, Resolved } from "./letters.ts";
import { toDetail, toSummary } from "./view.ts";

const read = { permission: "dead-letters:read" };
const manage = { permission: "dead-letters:manage" };
const bulk = z.object({
  ids: z.array(z.string()).nullish(),
  all: z.boolean().nullish(),
  collection: z.string().nullish(),
});
type BulkChoice = z.infer<typeof bulk>;

const done = { ok: true };
const pageSize = 100;
/** Letters that run again at once: as many as keep the script threads busy beside live events. */
const concurrency = 4;

/** `/admin/dead-letters` (lua §1.5). */
export function deadLettersAdmin(
  { admin, events, log }: Pick<PluginApp, "admin" | "events" | "log">,
  letters: Letters,
  again: Again,
): void {
  const existing = async (id = ""): Promise<Letter> => {
    const letter = await letters.get(id);
    if (!letter) throw new HttpError(404, `dead letter '${id}' not found`);
    return letter;
  };
  const open = async (id = ""): Promise<Letter> => {
    const letter = await existing(id);
    if (letter.resolvedAt !== null) throw new HttpError(404, `dead letter '${id}' is resolved already`);
    return letter;
  };
  const note = (type: string, actor: string | null, subject: string, detail = {}): void =>
    events.emit({ type: `dead_letter.${type}`, actor, subject, detail });

  admin.route("GET /dead-letters", read, async ({ query }) => {
    const limit = toLimit(query.get("limit"));
    const found = await letters.list({
      collection: query.get("collection") || undefined,
      resolved: toResolved(query.get("resolved")),
      before: toTime(query.get("cursor")),
      limit,
    });
    const last = found.at(-1);
    const cursor = found.length === limit && last ? { cursor: last.createdAt } : {};
    return { dead_letters: found.map(toSummary), ...cursor };
  });
  admin.route("GET /dead-letters/count", read, async ({ query }) => ({
    count: await letters.count(toResolved(query.get("resolved"))),
  }));
  admin.route("GET /dead-letters/:id", read, async ({ params }) => toDetail(await existing(params["id"])));
  admin.route("POST /dead-letters/:id/dismiss", manage, async ({ params, caller }) => {
    const { id } = await existing(params["id"]);
    await letters.resolve(id);
    note("dismissed", caller.did, id);
    return done;
  });
  admin.route("POST /dead-letters/:id/retry", manage, async ({ params, caller }) => {
    const letter = await open(params["id"]);
    await again.retry(letter);
    note("retried", caller.did, letter.id);
    return done;
  });
  admin.route("POST /dead-letters/:id/reindex", manage, async ({ params, caller }) => {
    const letter = await open(params["id"]);
    await again.reindex(letter);
    note("reindexed", caller.did, letter.id);
    return done;
  });

  admin.route("POST /dead-letters/bulk/dismiss", { ...manage, body: bulk }, async ({ body, caller }) => {
    checkChoice(body);
    if (body.ids) for (const id of body.ids) await letters.resolve(id);
    else await letters.resolveOpen(body.collection ?? undefined);
    note("dismissed", caller.did, "bulk", body);
    return done;
  });
  for (const act of ["retry", "reindex"] as const)
    admin.route(`POST /dead-letters/bulk/${act}`, { ...manage, body: bulk }, async ({ body, caller }) => {
      checkChoice(body);
      for await (const page of chosen(body)) await runAll(page, act);
      note(act === "retry" ? "retried" : "reindexed", caller.did, "bulk", body);
      return done;
    });

  /** A letter that fails stays, with its new error; the others go on. */
  async function runAll(page: readonly Letter[], act: "retry" | "reindex"): Promise<void> {
    const queue = [...page];
    const work = async (): Promise<void> => {
      for (let letter = queue.shift(); letter; letter = queue.shift())
        try {
          await again[act](letter);
        } catch (error) {
          if (!isHttpError(error)) throw error;
          log.debug("a dead letter stays open", { id: letter.id, act, error: explain(error) });
        }
    };
    await Promise.all(Array.from({ length: concurrency }, work));
  }

  /** The open ones of a choice; backwards in time, so that letters added meanwhile are not among them. */
  async function* chosen({ ids, collection }: BulkChoice): AsyncGenerator<Letter[]> {
    if (ids) {
      const wanted = [...new Set(ids)];
      for (let i = 0; i < wanted.length; i += pageSize) {
        const found = await Promise.all(wanted.slice(i, i + pageSize).map((id) => letters.get(id)));
        yield found.filter((letter): letter is Letter => letter?.resolvedAt === null);
      }
      return;
    }
    let before: string | undefined;
    for (;;) {
      const page = await letters.list({
        collection: collection ?? undefined,
        resolved: "open",
        before,
        limit: pageSize,
      });
      if (page.length > 0) yield page;
      before = page.at(-1)?.createdAt;
      if (page.length < pageSize) return;
    }
  }
}

function checkChoice({ ids, all }: BulkChoice): void {
  if (!ids && all !== true) throw new HttpError(400, "must provide 'ids' or 'all: true'");
}

function toResolved(given: string | null): Resolved {
  if (given === null || given === "false") return "open";
  return given === "true" ? "resolved" : "all";
}

function toLimit(given: string | null): number {
  const limit = Number.parseInt(given ?? "", 10);
  return Number.isNaN(limit) ? 50 : Math.min(Math.max(limit, 1), pageSize);
}

/** A cursor in a query string often comes with its `+` read as a space. */
function toTime(cursor: string | null): string | undefined {
  return cursor ? cursor.replace(/Z$/, "+00:00").replace(" ", "+") : undefined;
}
