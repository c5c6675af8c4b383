import type { PluginApp } from "../../core/index.ts";
import type { Queries } from "../../core/db/database.ts";
import type { ApplyLabel } from "../lua-scripts/label.ts";
import { isSignedBy, readLabel, type Label } from "./label.ts";
import { storeLabels } from "./store.ts";

export interface IntakeParts {
  app: Pick<PluginApp, "db" | "identity" | "log" | "events">;
  /** The scripts of `labeler.apply`; without them labels are stored as they come. */
  apply: ApplyLabel | undefined;
}

/** The one way of labels into the index: checked, shown to their script, stored together with `alsoIn`. */
export type LabelIntake = (
  labeler: string,
  labels: readonly unknown[],
  options: { signal: AbortSignal; alsoIn?: (tx: Queries) => Promise<void> },
) => Promise<void>;

export function createIntake({ app, apply }: IntakeParts): LabelIntake {
  const warned = new Set<string>();

  /** The key that signs for a labeler; undefined for one that has none, whose connection is then all there is to trust. */
  async function keyOf(labeler: string): Promise<string | undefined> {
    const key = (await app.identity.resolve(labeler)).keys["atproto_label"];
    if (key === undefined && !warned.has(labeler)) {
      warned.add(labeler);
      app.log.warn("a labeler publishes no key for its labels, so they cannot be checked", { labeler });
    }
    return key;
  }

  async function accepted(labeler: string, values: readonly unknown[]): Promise<Label[]> {
    const key = await keyOf(labeler);
    let fresh: Promise<string | undefined> | undefined;
    const labels: Label[] = [];
    for (const value of values) {
      const signed = readLabel(value);
      if (!signed || signed.label.src !== labeler) {
        refuse(labeler, signed?.label.uri, signed ? `it is of ${signed.label.src}` : "it is no label");
        continue;
      }
      if (key !== undefined && !(await isSignedBy(key, signed))) {
        // The key may have changed since its document was cached; one look serves the whole batch.
        const now = await (fresh ??= app.identity.forget(labeler).then(() => keyOf(labeler)));
        if (now === undefined || now === key || !(await isSignedBy(now, signed))) {
          refuse(labeler, signed.label.uri, "its signature is not the labeler's");
          continue;
        }
      }
      labels.push(signed.label);
    }
    return labels;
  }

  function refuse(labeler: string, uri: string | undefined, reason: string): void {
    app.log.warn("a label was refused", { labeler, uri: uri?.slice(0, 300), reason });
    app.events.emit({
      type: "labeler.label_refused",
      severity: "warn",
      subject: labeler,
      detail: { reason, uri: uri?.slice(0, 300) ?? null },
    });
  }

  return async (labeler, values, { signal, alsoIn }) => {
    const toStore: Label[] = [];
    for (const label of await accepted(labeler, values)) {
      const result = apply ? await apply(label, signal) : label;
      signal.throwIfAborted();
      if (result) toStore.push(result);
    }
    await app.db.transaction(async (tx) => {
      await storeLabels(tx, toStore);
      await alsoIn?.(tx);
    });
  };
}
