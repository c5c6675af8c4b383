import { describe, expect, test } from "vitest";
import { adminHeaders, startApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";

// Rows that scripts insert through the v2.9 names have no indexed_at, or one for many (sync-and-xrpc §9.3).
describe.each(databases())("pages of rows made by hand, on $name", (subject) => {
  test("are total in order: equal times page by URI, none at all comes last", async () => {
    const lexicon = { lexicon: 1, id: "com.example.list", defs: { main: { type: "query" } } };
    const files = {
      lexicons: [{ path: "com.example.list.json", name: "list", text: JSON.stringify(lexicon) }],
    };
    const config = { lexicons: { "com.example.list": { targetCollection: "com.example.note" } } };
    await using running = await startApp(subject, config, { files });
    const { app, request } = running;
    const times = ["2026-02-01", "2026-01-01", null];
    for (let n = 0; n < 30; n++) {
      const uri = `at://did:plc:a/com.example.note/${String(n).padStart(2, "0")}`;
      await app.db.run(
        "INSERT INTO happyview_records (uri, did, collection, rkey, record, indexed_at, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [uri, "did:plc:a", "com.example.note", String(n), "{}", times[Math.floor(n / 10)] ?? null, "2026"],
      );
    }
    const expected = [9, 19, 29].flatMap((top) =>
      Array.from(
        { length: 10 },
        (_, i) => `at://did:plc:a/com.example.note/${String(top - i).padStart(2, "0")}`,
      ),
    );

    for (const [path, headers] of [
      ["/xrpc/com.example.list?limit=7", {}],
      ["/xrpc/com.example.list?limit=7&did=did:plc:a", {}],
      ["/admin/records?collection=com.example.note&limit=7", adminHeaders],
    ] as const) {
      const seen: string[] = [];
      for (let cursor: string | undefined = ""; cursor !== undefined;) {
        const response = await request(`${path}&cursor=${cursor}`, { headers });
        const page = (await response.json()) as { records: { uri: string }[]; cursor?: string };
        seen.push(...page.records.map((record) => record.uri));
        ({ cursor } = page);
      }
      expect(seen).toEqual(expected);
    }
  });
});
