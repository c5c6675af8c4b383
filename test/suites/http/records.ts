import { beforeAll, describe, expect, test } from "vitest";
import { createEvents, getJson, putLexicon, range, recordLexicon, type RunningSubject } from "./subject.ts";

interface RecordPage {
  records: Record<string, unknown>[];
  cursor?: string;
}

const collection = "com.example.stored.note";
const other = "com.example.stored.other";
const did = "did:plc:ccccccccccccccccccccccc2";

/** `/admin/records` and `/admin/stats` (admin-api §2.3–2.4). */
export function recordCases(subject: () => RunningSubject): void {
  const send = (path: string, init?: RequestInit): Promise<Response> => subject().request(path, init);
  const page = (query: string): Promise<RecordPage> =>
    getJson<RecordPage>(subject(), `/admin/records?${query}`, subject().admin);
  const remove = (path: string): Promise<Response> =>
    send(path, { method: "DELETE", headers: subject().admin });

  describe("stored records", () => {
    beforeAll(async () => {
      await putLexicon(subject(), recordLexicon(collection));
      await putLexicon(subject(), recordLexicon(other));
      await subject().ingest([
        ...createEvents(did, collection, range(0, 45), (n) => ({
          text: `v${n}`,
          ...(n === 44 ? { labels: { values: [{ val: "spoiler" }, {}, null] } } : {}),
        })),
        ...createEvents(did, other, range(0, 3)),
      ]);
    });

    test("are listed newest first, with everything an admin sees", async () => {
      const { records, cursor } = await page(`collection=${collection}`);
      expect(records).toHaveLength(20);
      expect(cursor).toEqual(expect.any(String));
      expect(records[0]).toEqual({
        uri: `at://${did}/${collection}/k44`,
        did,
        collection,
        rkey: "k44",
        cid: expect.stringMatching(/^bafyrei/),
        indexed_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00$/),
        record: { $type: collection, text: "v44", labels: { values: [{ val: "spoiler" }, {}, null] } },
        labels: [{ src: did, val: "spoiler", cts: "" }],
      });
    });

    test("all pages together hold each record once", async () => {
      const seen: unknown[] = [];
      let cursor: string | undefined;
      do {
        const query = `collection=${collection}&limit=15${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`;
        const next = await page(query);
        seen.push(...next.records.map((record) => record["rkey"]));
        ({ cursor } = next);
      } while (cursor);
      expect(seen).toEqual(range(0, 45).map((n) => `k${44 - n}`));
    });

    test("an offset of an older client and a limit beyond the bounds are understood", async () => {
      expect((await page(`collection=${collection}&cursor=40`)).records.map((row) => row["rkey"])).toEqual([
        "k4",
        "k3",
        "k2",
        "k1",
        "k0",
      ]);
      expect((await page(`collection=${collection}&limit=1000`)).records).toHaveLength(45);
      expect((await page(`collection=${collection}&limit=-1`)).records).toHaveLength(1);
      expect((await page(`collection=${collection}&limit=many`)).records).toHaveLength(20);
      expect(await page("collection=com.example.nobody")).toEqual({ records: [] });
    });

    test("a list of no collection is a bad request", async () => {
      const response = await send("/admin/records", { headers: subject().admin });
      expect(response.status).toBe(400);
      expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
      expect(await response.text()).toContain("collection");
    });

    test("are counted", async () => {
      expect(await getJson(subject(), "/admin/records/collections", subject().admin)).toEqual({
        collections: expect.arrayContaining([collection, other]),
      });
      const stats = await getJson<{ total_records: number; collections: unknown[] }>(
        subject(),
        "/admin/stats",
        subject().admin,
      );
      expect(stats.collections).toContainEqual({ collection, count: 45 });
      expect(stats.collections).toContainEqual({ collection: other, count: 3 });
      expect(stats.total_records).toBeGreaterThanOrEqual(48);
    });

    test("one is removed by its URI", async () => {
      const path = `/admin/records?uri=${encodeURIComponent(`at://${did}/${other}/k1`)}`;
      expect((await remove(path)).status).toBe(204);
      const again = await remove(path);
      expect(again.status).toBe(404);
      expect(await again.json()).toEqual({ error: "record not found" });
      expect((await remove("/admin/records")).status).toBe(400);
    });

    test("a collection is removed as a whole, its lexicon stays", async () => {
      const response = await remove(`/admin/records/collection?collection=${other}`);
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({ deleted: 2 });
      expect(await (await remove(`/admin/records/collection?collection=${other}`)).json()).toEqual({
        deleted: 0,
      });
      expect((await remove("/admin/records/collection")).status).toBe(400);
      const stats = await getJson<{ collections: unknown[] }>(subject(), "/admin/stats", subject().admin);
      expect(stats.collections).toContainEqual({ collection: other, count: 0 });
    });
  });
}
