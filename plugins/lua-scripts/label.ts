import type { Attempts } from "./attempts.ts";
import type { Pool } from "./engine/pool.ts";
import { toSource, type Scripts } from "./scripts.ts";
import type { Variables } from "./variables.ts";

/** A label as a labeler sends it. */
export interface Label {
  src: string;
  uri: string;
  val: string;
  neg: boolean;
  cts: string;
  exp?: string | undefined;
}

export interface LabelScriptParts {
  scripts: Scripts;
  variables: Variables;
  pool: Pool;
  attempts: Attempts;
}

/** What to store of a label, undefined for nothing. */
export type ApplyLabel = (label: Label, signal?: AbortSignal) => Promise<Label | undefined>;

/**
 * Runs the script of a label before it is stored: nil drops it, a table changes it field by field, anything else lets
 * it pass as it is (lua §1.4). A script that keeps failing is reported and the label goes on (fail open, lua §1.5).
 */
export function labelScripts({ scripts, variables, pool, attempts }: LabelScriptParts): ApplyLabel {
  return async (label, signal) => {
    const collection = collectionOf(label.uri);
    const trigger = `labeler.apply:${collection ?? "_actor"}`;
    const { src, uri, val, neg, cts, exp } = label;
    const fields = { src, uri, val, neg, cts, ...(exp === undefined ? {} : { exp }) };
    if (!scripts.get(trigger)) return label;
    const outcome = await attempts.run(
      {
        hostKind: "label",
        hostId: src,
        uri,
        actor: null,
        collection,
        script: () => scripts.get(trigger),
        run: (script) =>
          pool.run(
            {
              kind: "label",
              script: toSource(script),
              env: variables.env(),
              label: fields,
            },
            signal ? { signal } : {},
          ),
        payload: () => fields,
        detail: { src, val },
      },
      signal,
    );
    if (outcome?.kind === "nil") return undefined;
    return outcome?.kind === "value" && outcome.isTable ? merged(label, JSON.parse(outcome.json)) : label;
  };
}

/** The second path segment of an at-uri; without one the label is on an account (lua §1.4). */
function collectionOf(uri: string): string | null {
  return /^at:\/\/[^/]*\/([^/]+)/.exec(uri)?.[1] ?? null;
}

/** Fields of the right type replace the label's own; the rest of the table is nobody's. */
function merged(label: Label, given: unknown): Label {
  const fields = new Map(Object.entries(typeof given === "object" && given !== null ? given : {}));
  const text = (name: "src" | "uri" | "val" | "cts" | "exp"): string | undefined => {
    const value: unknown = fields.get(name);
    return typeof value === "string" ? value : label[name];
  };
  const neg: unknown = fields.get("neg");
  return {
    src: text("src") ?? label.src,
    uri: text("uri") ?? label.uri,
    val: text("val") ?? label.val,
    cts: text("cts") ?? label.cts,
    neg: typeof neg === "boolean" ? neg : label.neg,
    exp: text("exp"),
  };
}
