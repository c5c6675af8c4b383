import { describe, expect, test } from "vitest";
import {
  getJson,
  procedureLexicon,
  putLexicon,
  queryLexicon,
  recordLexicon,
  type RunningSubject,
} from "./subject.ts";

/** `/admin/lexicons` (sync-and-xrpc §1.4–1.5). */
export function lexiconCases(subject: () => RunningSubject): void {
  const send = (path: string, init?: RequestInit): Promise<Response> => subject().request(path, init);
  const admin = (method = "GET"): RequestInit => ({ method, headers: subject().admin });

  describe("lexicons", () => {
    test("are created, replaced, shown and removed", async () => {
      const id = "com.example.lexicons.note";
      const created = await putLexicon(subject(), recordLexicon(id), { backfill: undefined, token_cost: 3 });
      expect(created.status).toBe(201);
      expect(await created.json()).toMatchObject({ id, revision: 1 });

      const shown = await getJson(subject(), `/admin/lexicons/${id}`, subject().admin);
      expect(shown).toMatchObject({
        id,
        revision: 1,
        lexicon_type: "record",
        backfill: true,
        action: null,
        target_collection: null,
        source: "manual",
        authority_did: null,
        last_fetched_at: null,
        token_cost: 3,
        lexicon_json: recordLexicon(id),
      });
      expect(shown["created_at"]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00$/);
      expect(shown).not.toHaveProperty("record_schema");

      const replaced = await putLexicon(subject(), recordLexicon(id));
      expect(replaced.status).toBe(200);
      expect(await replaced.json()).toMatchObject({ id, revision: 2 });
      const again = await getJson(subject(), `/admin/lexicons/${id}`, subject().admin);
      expect(again).toMatchObject({
        revision: 2,
        backfill: false,
        token_cost: null,
        created_at: shown["created_at"],
      });

      expect((await send(`/admin/lexicons/${id}`, admin("DELETE"))).status).toBe(204);
      for (const method of ["GET", "DELETE"]) {
        const missing = await send(`/admin/lexicons/${id}`, admin(method));
        expect(missing.status).toBe(404);
        expect(await missing.json()).toEqual({ error: `lexicon '${id}' not found` });
      }
    });

    test("are listed by id, records with their schema", async () => {
      const ids = ["com.example.listed.b", "com.example.listed.a", "com.example.listed.c"];
      const [b = "", a = "", c = ""] = ids;
      await putLexicon(subject(), queryLexicon(b), { target_collection: a });
      await putLexicon(subject(), recordLexicon(a));
      await putLexicon(subject(), procedureLexicon(c), { target_collection: a, action: "create" });
      const list = await getJson<Record<string, unknown>[]>(subject(), "/admin/lexicons", subject().admin);
      const ours = list.filter((entry) => ids.includes(String(entry["id"])));
      expect(ours).toMatchObject([
        { id: a, lexicon_type: "record", record_schema: { type: "object" } },
        { id: b, lexicon_type: "query", target_collection: a },
        { id: c, lexicon_type: "procedure", action: "create" },
      ]);
      expect(ours[1]).not.toHaveProperty("record_schema");
      expect(ours[0]).not.toHaveProperty("lexicon_json");
      for (const id of ids) await send(`/admin/lexicons/${id}`, admin("DELETE"));
    });

    test("without a main definition of a known type are definitions", async () => {
      const id = "com.example.defs.only";
      await putLexicon(subject(), { lexicon: 1, id, defs: { thing: { type: "object" } } });
      expect(await getJson(subject(), `/admin/lexicons/${id}`, subject().admin)).toMatchObject({
        lexicon_type: "definitions",
      });
      await send(`/admin/lexicons/${id}`, admin("DELETE"));
    });

    test.each([
      [{}, {}, "lexicon JSON must have a numeric 'lexicon' field"],
      [{ lexicon: "1" }, {}, "lexicon JSON must have a numeric 'lexicon' field"],
      [{ lexicon: 2 }, {}, "unsupported lexicon version: 2"],
      [{ lexicon: 1 }, {}, "lexicon JSON must have a string 'id' field"],
      [{ lexicon: 1, id: 5 }, {}, "lexicon JSON must have a string 'id' field"],
      [
        procedureLexicon("com.example.bad.action"),
        { action: "replace" },
        "invalid action 'replace': must be create, update, delete, or upsert",
      ],
    ])("%j %j is refused: %s", async (document, options, error) => {
      const before = await getJson(subject(), "/admin/lexicons", subject().admin);
      const response = await putLexicon(subject(), document, options);
      expect(response.status).toBe(400);
      expect(await response.json()).toEqual({ error });
      expect(await getJson(subject(), "/admin/lexicons", subject().admin)).toEqual(before);
    });

    test.each(["", "x", "com.example.a b", "com..x", `com.example.${"x".repeat(400)}`])(
      "an id that is no NSID is refused (%j)",
      async (id) => {
        expect((await putLexicon(subject(), recordLexicon(id))).status).toBe(400);
      },
    );

    test("act at once: a query is served when it is put, and not any more when it is gone", async () => {
      const id = "com.example.atonce.list";
      await putLexicon(subject(), queryLexicon(id), { target_collection: "com.example.atonce.thing" });
      const response = await send(`/xrpc/${id}`);
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({ records: [] });
      await send(`/admin/lexicons/${id}`, admin("DELETE"));
      expect((await send(`/xrpc/${id}`)).status).toBe(403);
    });
  });
}
