import { explain } from "../../../core/errors.ts";
import { isObject } from "../../../core/lexicons/document.ts";
import type { PluginApp } from "../../../core/plugin-app.ts";
import { ScriptError } from "../engine/engine.ts";
import type { HostFunctions } from "../engine/host.ts";

const maxUris = 1000;

interface ScriptLabel {
  src: string;
  uri: string;
  val: string;
  cts: string;
}

type Parts = Pick<PluginApp, "db" | "records" | "identity" | "clock">;

/** `atproto.*` (lua §4.6). */
export function atprotoFunctions({ db, records, identity, clock }: Parts): HostFunctions {
  /** What labelers said, and has not expired. */
  const stored = async (uris: readonly string[]): Promise<ScriptLabel[]> => {
    const rows = await db.selectByKeys<ScriptLabel & { exp: string | null }>(
      "SELECT src, uri, val, cts, exp FROM happyview_labels",
      "uri",
      uris,
    );
    const now = clock.now();
    return rows
      .filter(({ exp }) => exp === null || !(Date.parse(exp) <= now))
      .map(({ src, uri, val, cts }) => ({ src, uri, val, cts }))
      .toSorted((a, b) => (a.cts < b.cts ? -1 : a.cts > b.cts ? 1 : 0));
  };

  /** What authors say of their own records. */
  const own = async (uris: readonly string[]): Promise<ScriptLabel[]> =>
    (await records.local.get(uris)).flatMap(({ uri, record }) => {
      const src = uri.split("/")[2] ?? "";
      return selfLabels(JSON.parse(record)).map((val) => ({ src, uri, val, cts: "" }));
    });

  return {
    "atproto.endpoint": ([did]) => identity.pds(String(did)).catch(() => undefined),
    "atproto.labels": async ([asked]) => {
      const uris = Array.isArray(asked) ? [...new Set(asked.map(String))] : [];
      if (uris.length > maxUris) throw new ScriptError(`label query failed: more than ${maxUris} URIs`);
      const labels = await Promise.all([
        stored(uris).catch(failed("label query failed")),
        own(uris).catch(failed("record query failed")),
      ]);
      return Object.fromEntries(uris.map((uri) => [uri, labels.flat().filter((label) => label.uri === uri)]));
    },
  };
}

function selfLabels(record: unknown): string[] {
  const labels = isObject(record) ? record["labels"] : undefined;
  const values = isObject(labels) && Array.isArray(labels["values"]) ? labels["values"] : [];
  return values.flatMap((value) =>
    isObject(value) && typeof value["val"] === "string" ? [value["val"]] : [],
  );
}

function failed(what: string): (error: unknown) => never {
  return (error) => {
    throw new ScriptError(`${what}: ${explain(error)}`);
  };
}
