import type { PluginApp } from "../../core/index.ts";
import { isObject } from "../../core/lexicons/document.ts";
import type { Decorator } from "../../core/xrpc/decorate.ts";
import { readAcceptLabelers, writeContentLabelers, type AcceptedLabeler } from "./accept-labelers.ts";
import { isExpired, microsOf } from "./datetime.ts";
import type { Subscriptions } from "./subscriptions.ts";

/** As clients see it; the signature was checked when it came (label spec, signatures). */
interface ShownLabel {
  src: string;
  uri: string;
  cid?: string;
  val: string;
  cts: string;
  exp?: string;
}

/** The values by which a redacting labeler has content left out (label spec, HTTP headers). */
const takedowns: ReadonlySet<string> = new Set(["!takedown", "!suspend"]);

/**
 * Labels on the records of default queries, by `atproto-accept-labelers`: of the labelers that are asked for and
 * subscribed to, and those of the author. Without the header the answer is what it is without labels.
 */
export function labelDecorator(
  { db, clock }: Pick<PluginApp, "db" | "clock">,
  subscriptions: Pick<Subscriptions, "all">,
): Decorator {
  /** What the accepted labelers say of these subjects, records and accounts. */
  async function read(subjects: readonly string[], accepted: readonly AcceptedLabeler[]) {
    const sources = new Set(accepted.map(({ did }) => did));
    const rows =
      sources.size === 0
        ? []
        : await db.selectByKeys<Omit<ShownLabel, "exp" | "cid"> & { exp: string | null; cid: string | null }>(
            "SELECT src, uri, cid, val, cts, exp FROM happyview_labels",
            "uri",
            [...new Set(subjects)],
          );
    const now = clock.now();
    return Map.groupBy(
      rows
        .filter(({ src, exp }) => sources.has(src) && !isExpired(exp, now))
        .map(({ cid, exp, ...label }): ShownLabel => ({
          ...label,
          ...(cid === null ? {} : { cid }),
          ...(exp === null ? {} : { exp }),
        })),
      ({ uri }) => uri,
    );
  }

  return ({ headers }) => {
    const header = headers.get("atproto-accept-labelers");
    if (header === null) return undefined;
    const asked = readAcceptLabelers(header);
    if (asked.length === 0) return undefined; // who accepts none gets none, those of the author neither
    const known = new Set(
      subscriptions
        .all()
        .filter(({ status }) => status === "active")
        .map(({ did }) => did),
    );
    const accepted = asked.filter(({ did }) => known.has(did));
    const redacting = new Set(accepted.filter(({ redact }) => redact).map(({ did }) => did));
    const isTakedown = ({ src, val }: ShownLabel): boolean => redacting.has(src) && takedowns.has(val);
    return {
      headers: { "atproto-content-labelers": writeContentLabelers(accepted) },
      async members(rows) {
        const subjects = rows.flatMap(({ uri }) => (redacting.size > 0 ? [uri, authorOf(uri)] : [uri]));
        const labels = await read(subjects, accepted);
        return new Map(
          rows.map(({ uri, record }) => {
            const own = labels.get(uri) ?? [];
            if ([...own, ...(labels.get(authorOf(uri)) ?? [])].some(isTakedown)) return [uri, null];
            return [uri, { labels: JSON.stringify([...own, ...selfLabels(uri, record)]) }];
          }),
        );
      },
    };
  };
}

function authorOf(uri: string): string {
  return uri.split("/")[2] ?? "";
}

/** What the author says of the record in the record itself, made when that was (label spec, self-labels). */
function selfLabels(uri: string, record: string): ShownLabel[] {
  if (!record.includes('"labels"')) return [];
  const body: unknown = JSON.parse(record);
  const { labels, createdAt } = isObject(body) ? body : {};
  const values = isObject(labels) && Array.isArray(labels["values"]) ? labels["values"] : [];
  const cts = typeof createdAt === "string" && microsOf(createdAt) ? createdAt : "1970-01-01T00:00:00.000Z";
  return values.flatMap((value) =>
    isObject(value) && typeof value["val"] === "string"
      ? [{ src: authorOf(uri), uri, val: value["val"], cts }]
      : [],
  );
}
