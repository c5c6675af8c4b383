import { definePlugin, HttpError } from "../../../core/index.ts";
import { isObject } from "../../../core/lexicons/document.ts";
import { atUri, type RecordAction } from "../../../core/records/change.ts";
import { computeCid } from "../../../core/records/verify.ts";

const someone = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

/** What test files do to the instance they run on; only `happyview test` has it. */
export const scriptTests = definePlugin({
  name: "script-tests",
  setup(app) {
    const { pipeline, store } = app.records;
    let written = 0;
    app.xrpc.method("test.happyview.ingest", {
      type: "procedure",
      async handle({ input }) {
        const {
          action = "create",
          did = someone,
          collection,
          rkey = `test${++written}`,
          record,
        } = isObject(input) ? input : {};
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
        return { stored: row ? (JSON.parse(row.record) as unknown) : null };
      },
    });
    app.xrpc.method("test.happyview.reset", {
      type: "procedure",
      async handle() {
        await app.db.run("DELETE FROM happyview_records");
        await app.db.run("DELETE FROM happyview_record_tombstones");
        return {};
      },
    });
  },
});

function isAction(value: unknown): value is RecordAction {
  return value === "create" || value === "update" || value === "delete";
}
