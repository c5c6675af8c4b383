import type { PluginApp } from "../../core/index.ts";
import type { Decorator } from "../../core/xrpc/decorate.ts";
import type { Subscriptions } from "./subscriptions.ts";

const maxLabelers = 20;
const takedown = "!takedown";

interface Accepted {
  did: string;
  /** Records that it takes down are left out instead of labelled. */
  redact: boolean;
}

/**
 * Labels on the records of default queries, by `atproto-accept-labelers` (label spec, HTTP headers): of the labelers that
 * are asked for and subscribed to. Without the header the answer is what it is without labels.
 */
export function labelDecorator(
  { db, clock }: Pick<PluginApp, "db" | "clock">,
  subscriptions: Subscriptions,
): Decorator {
  return async (request) => {
    const header = request.headers.get("atproto-accept-labelers");
    if (header === null) return undefined;
    const known = new Set(
      (await subscriptions.list()).filter(({ status }) => status === "active").map(({ did }) => did),
    );
    const accepted = readHeader(header).filter(({ did }) => known.has(did));
    return {
      headers: {
        "atproto-content-labelers": accepted
          .map(({ did, redact }) => (redact ? `${did};redact` : did))
          .join(", "),
      },
      async members(rows) {
        const labels = await labelsOf(
          rows.map(({ uri }) => uri),
          accepted,
        );
        return new Map(
          rows.map(({ uri, record }) => {
            const given = labels.get(uri) ?? [];
            const isRedacted = given.some(
              ({ src, val }) => val === takedown && accepted.some(({ did, redact }) => did === src && redact),
            );
            return [
              uri,
              isRedacted ? null : { labels: JSON.stringify([...given, ...selfLabels(uri, record)]) },
            ];
          }),
        );
      },
    };
  };

  async function labelsOf(
    uris: readonly string[],
    accepted: readonly Accepted[],
  ): Promise<Map<string, { src: string; uri: string; val: string; cts: string }[]>> {
    const rows = await db.selectByKeys<{
      src: string;
      uri: string;
      val: string;
      cts: string;
      exp: string | null;
    }>("SELECT src, uri, val, cts, exp FROM happyview_labels", "uri", uris);
    const byUri = new Map<string, { src: string; uri: string; val: string; cts: string }[]>();
    for (const { exp, ...label } of rows) {
      const isExpired = exp !== null && Date.parse(exp) <= clock.now();
      if (isExpired || !accepted.some(({ did }) => did === label.src)) continue;
      byUri.set(label.uri, [...(byUri.get(label.uri) ?? []), { ...label, ...(exp === null ? {} : { exp }) }]);
    }
    return byUri;
  }
}

function readHeader(header: string): Accepted[] {
  return header
    .split(",")
    .slice(0, maxLabelers)
    .flatMap((part) => {
      const [did = "", ...params] = part.split(";").map((piece) => piece.trim());
      return did.startsWith("did:") ? [{ did, redact: params.includes("redact") }] : [];
    });
}

/** What the author says of the record: `labels.values[].val` of the record itself. */
function selfLabels(uri: string, record: string): { src: string; uri: string; val: string; cts: string }[] {
  if (!record.includes('"labels"')) return [];
  const { labels } = JSON.parse(record) as { labels?: { values?: unknown } };
  const values = Array.isArray(labels?.values) ? labels.values : [];
  const src = uri.split("/")[2] ?? "";
  return values.flatMap((value: { val?: unknown } | null) =>
    typeof value?.val === "string" ? [{ src, uri, val: value.val, cts: "" }] : [],
  );
}
