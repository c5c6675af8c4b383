import { definePlugin, HttpError } from "../../../core/index.ts";
import { isObject } from "../../../core/lexicons/document.ts";
import { atUri, type RecordAction } from "../../../core/records/change.ts";
import { anonymous } from "../../../core/http/caller.ts";
import { computeCid } from "../../../core/records/verify.ts";
import { xrpcFunctions } from "../host/xrpc.ts";
import type { ScriptTest } from "./index.ts";

/** Whose records tests write, and who calls. */
export const someone = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

/** What tests do to their instance. */
export interface ScriptBench extends ScriptTest {
  /** Empties the index. */
  reset(): Promise<void>;
}

/** What test files do to the instance they run on; only `happyview test` has it. */
export const scriptTests = definePlugin({
  name: "script-tests",
  setup(app): ScriptBench {
    const { pipeline, store } = app.records;
    const call = xrpcFunctions(app, { caller: { ...anonymous, did: someone }, nesting: 0 })["xrpc.call"];
    let written = 0;

    async function ingest(event: unknown): Promise<Record<string, unknown> | null> {
      const {
        action = "create",
        did = someone,
        collection,
        rkey = `test${++written}`,
        record,
      } = isObject(event) ? event : {};
      if (
        typeof collection !== "string" ||
        typeof did !== "string" ||
        typeof rkey !== "string" ||
        !isAction(action)
      )
        throw new HttpError(400, "ingest needs a collection, and create, update or delete as its action");
      const body = isObject(record) ? { $type: collection, ...record } : undefined;
      const cid = body ? (computeCid(body) ?? "") : "";
      void pipeline.ingest({ kind: "commit", action, did, collection, rkey, rev: "", record: body, cid });
      await pipeline.flush();
      const row = await store.get(atUri(did, collection, rkey));
      return row ? (JSON.parse(row.record) as Record<string, unknown>) : null; // a record is an object
    }

    async function reset(): Promise<void> {
      await app.db.run("DELETE FROM happyview_records");
      await app.db.run("DELETE FROM happyview_record_tombstones");
    }

    async function ask<Body>(type: string, nsid: string, params: object, input: unknown): Promise<Body> {
      const args = [type, nsid, JSON.stringify(params), JSON.stringify(input)];
      const answer = await call?.(args, { signal: new AbortController().signal });
      return JSON.parse((answer as { body: string }).body) as Body; // the caller says what it is
    }

    app.xrpc.method("test.happyview.ingest", {
      type: "procedure",
      handle: async ({ input }) => ({ stored: await ingest(input) }),
    });
    app.xrpc.method("test.happyview.reset", { type: "procedure", handle: async () => (await reset(), {}) });
    return {
      ingest,
      reset,
      query: (nsid, params = {}) => ask("query", nsid, params, null),
      procedure: (nsid, input = {}, params = {}) => ask("procedure", nsid, params, input),
    };
  },
});

function isAction(value: unknown): value is RecordAction {
  return value === "create" || value === "update" || value === "delete";
}
