import { beforeAll, describe, expect, test } from "vitest";
import {
  createEvents,
  getJson,
  jsonBody,
  procedureLexicon,
  putLexicon,
  queryLexicon,
  range,
  recordLexicon,
  type RunningSubject,
} from "./subject.ts";

interface Page {
  records: { uri: string; text?: string }[];
  cursor?: string;
}

const collection = "com.example.xrpc.note";
const list = "com.example.xrpc.listNotes";
const untargeted = "com.example.xrpc.untargeted";
const procedure = "com.example.xrpc.putNote";
const alice = "did:plc:ddddddddddddddddddddddd2";
const bob = "did:plc:eeeeeeeeeeeeeeeeeeeeeee2";

/** Calls of registered methods without scripts (sync-and-xrpc §4.1–4.8, with §9.3 repaired). */
export function xrpcCases(subject: () => RunningSubject): void {
  const send = (path: string, init?: RequestInit): Promise<Response> => subject().request(path, init);
  const page = (query = ""): Promise<Page> => getJson<Page>(subject(), `/xrpc/${list}?${query}`);
  const keys = ({ records }: Page): (string | undefined)[] => records.map(({ uri }) => uri.split("/").at(-1));
  const problem = async (path: string, init?: RequestInit): Promise<{ status: number; body: unknown }> => {
    const response = await send(path, init);
    return { status: response.status, body: await response.json() };
  };

  describe("XRPC", () => {
    beforeAll(async () => {
      await putLexicon(subject(), recordLexicon(collection));
      await putLexicon(subject(), queryLexicon(list), { target_collection: collection });
      await putLexicon(subject(), queryLexicon(untargeted));
      await putLexicon(subject(), procedureLexicon(procedure), { target_collection: collection });
      const policy = { mode: "disabled", nsids: [] };
      await send("/admin/settings/xrpc-proxy", jsonBody("PUT", policy, subject().admin));
      await subject().ingest([
        ...createEvents(bob, collection, range(0, 20)),
        ...createEvents(alice, collection, range(20, 130)),
      ]);
    });

    describe("a list", () => {
      test("is the newest twenty, each with its uri, nothing else added", async () => {
        const first = await page();
        expect(keys(first)).toEqual(range(0, 20).map((n) => `k${129 - n}`));
        expect(first.records[0]).toEqual({
          $type: collection,
          text: "v129",
          uri: `at://${alice}/${collection}/k129`,
        });
        expect(Object.keys(first).toSorted()).toEqual(["cursor", "records"]);
      });

      test.each([
        ["limit=5", 5],
        ["limit=%2B5", 5],
        ["limit=100", 100],
        ["limit=101", 100],
        ["limit=99999999999999999999", 100],
        ["limit=0", 1],
        ["limit=-5", 1],
        ["limit=abc", 20],
        ["limit=5.5", 20],
        ["limit=", 20],
        ["limit", 20],
        ["limit=5&limit=6", 20],
      ])("%s gives %i", async (query, count) => {
        expect((await page(query)).records).toHaveLength(count);
      });

      test("pages hold every record once, also while others arrive; the last has no cursor", async () => {
        const seen: (string | undefined)[] = [];
        let next = await page("limit=30");
        seen.push(...keys(next));
        await subject().ingest(createEvents(alice, collection, range(130, 140)));
        while (next.cursor !== undefined) {
          next = await page(`limit=30&cursor=${encodeURIComponent(next.cursor)}`);
          seen.push(...keys(next));
        }
        expect(seen).toEqual(range(0, 130).map((n) => `k${129 - n}`));
        expect(next.records).toHaveLength(10);
      });

      test("a last page that is full has no cursor, either", async () => {
        const whole = await page(`did=${bob}&limit=20`);
        expect(whole.records).toHaveLength(20);
        expect(whole).not.toHaveProperty("cursor");
      });

      test("an offset of an older client is understood", async () => {
        const [first, second] = [await page("limit=10"), await page("limit=10&cursor=5")];
        expect(keys(second).slice(0, 5)).toEqual(keys(first).slice(5));
        expect(await page("cursor=100000000")).toEqual({ records: [] });
      });

      test.each(["cursor=", "cursor=nonsense", "cursor=%00", "cursor=0", "cursor=-3", "cursor=a&cursor=b"])(
        "%s is the first page",
        async (query) => {
          expect(keys(await page(`limit=3&${query}`))).toEqual(keys(await page("limit=3")));
        },
      );

      test("did keeps to one repo, with pages of its own", async () => {
        const first = await page(`did=${bob}&limit=15`);
        expect(keys(first)).toEqual(range(0, 15).map((n) => `k${19 - n}`));
        const rest = await page(`did=${encodeURIComponent(bob)}&limit=15&cursor=${first.cursor}`);
        expect(keys(rest)).toEqual(range(0, 5).map((n) => `k${4 - n}`));
        expect(await page("did=did:plc:nobody")).toEqual({ records: [] });
      });

      test("of a query without a collection is a bad request", async () => {
        expect(await problem(`/xrpc/${untargeted}`)).toEqual({
          status: 400,
          body: { error: `${untargeted} has no target_collection configured for list queries` },
        });
      });
    });

    describe("one record", () => {
      test("is found by its URI, by any query", async () => {
        const uri = `at://${bob}/${collection}/k3`;
        for (const nsid of [list, untargeted]) {
          const response = await send(`/xrpc/${nsid}?uri=${encodeURIComponent(uri)}`);
          expect(response.status).toBe(200);
          expect(response.headers.get("content-type")).toMatch(/^application\/json/);
          expect(await response.json()).toEqual({ record: { $type: collection, text: "v3", uri } });
        }
      });

      test("that is not there is not found", async () => {
        for (const uri of [`at://${bob}/${collection}/none`, "", "%00", "x".repeat(3000)])
          expect(await problem(`/xrpc/${list}?uri=${uri}`)).toEqual({
            status: 404,
            body: { error: "record not found" },
          });
      });

      test("with a field named uri, or none at all, is served with its own", async () => {
        const own = { uri: "at://somewhere/else/1", deep: { uri: "kept" } };
        await subject().ingest(createEvents(bob, collection, [901], () => own));
        const uri = `at://${bob}/${collection}/k901`;
        expect(await getJson(subject(), `/xrpc/${list}?uri=${uri}`)).toEqual({
          record: { $type: collection, deep: { uri: "kept" }, uri },
        });
        await subject().ingest([
          {
            kind: "commit",
            action: "delete",
            did: bob,
            collection,
            rkey: "k901",
            rev: "3zzzzzzzzzzzz",
            cid: "",
          },
        ]);
        expect((await problem(`/xrpc/${list}?uri=${uri}`)).status).toBe(404);
      });

      test("keeps its text exactly: unicode, order of keys, numbers", async () => {
        const body = { z: "\u2028☂\u{1F680}", a: [9007199254740991, -1, true, null], text: '"quoted"\\' };
        await subject().ingest(createEvents(bob, collection, [902], () => body));
        const uri = `at://${bob}/${collection}/k902`;
        const response = await send(`/xrpc/${list}?uri=${uri}`);
        const text = await response.text();
        expect(JSON.parse(text)).toEqual({ record: { $type: collection, ...body, uri } });
        await subject().ingest([
          {
            kind: "commit",
            action: "delete",
            did: bob,
            collection,
            rkey: "k902",
            rev: "3zzzzzzzzzzzz",
            cid: "",
          },
        ]);
      });
    });

    describe("a call", () => {
      test.each([
        [collection, "GET", "query"],
        [procedure, "GET", "query"],
      ])("of %s with %s is of the wrong type", async (nsid, method, kind) => {
        expect(await problem(`/xrpc/${nsid}`, { method })).toEqual({
          status: 400,
          body: { error: `${nsid} is not a ${kind} endpoint` },
        });
      });

      test("of a procedure without a session is refused, after a bad body", async () => {
        for (const nsid of [procedure, list, "com.example.unknown"])
          expect(await problem(`/xrpc/${nsid}`, jsonBody("POST", {}))).toEqual({
            status: 401,
            body: { error: "XRPC procedures require DPoP authentication" },
          });
        expect((await send(`/xrpc/${procedure}`, { method: "POST", body: "x" })).status).toBe(415);
        expect((await send(`/xrpc/${procedure}`, jsonBody("POST", "{"))).status).toBe(400);
      });

      test.each([
        ["Bearer x", {}, /^XRPC routes do not accept Bearer auth\./],
        ["Basic x", {}, /^invalid Authorization scheme$/],
        ["DPoP x", {}, /^DPoP auth requires X-Client-Key header$/],
        ["DPoP x", { "x-client-key": "k", dpop: "x" }, /./],
      ])("with %s is refused, never taken as anonymous", async (authorization, headers, error) => {
        const { status, body } = await problem(`/xrpc/${list}`, { headers: { authorization, ...headers } });
        expect(status).toBe(401);
        expect(body).toEqual({ error: expect.stringMatching(error) });
      });

      test("with the admin key is no XRPC credential", async () => {
        expect((await problem(`/xrpc/${list}`, { headers: subject().admin })).status).toBe(401);
      });

      test.each([{}, { "x-client-key": "hvc_nobody" }])(
        "of nobody in particular (%j) is served",
        async (headers) => {
          expect((await send(`/xrpc/${list}`, { headers })).status).toBe(200);
          expect((await send(`/xrpc/${list}?client_key=anything`)).status).toBe(200);
        },
      );

      test.each([
        "?&&=&%zz=%ff&limit=2",
        "?limit=2#x",
        "?__proto__=1&constructor=2&limit=2",
        `?${"a=1&".repeat(900)}limit=2`,
      ])("with an odd query is served (%s)", async (query) => {
        const response = await send(`/xrpc/${list}${query}`);
        expect(response.status).toBe(200);
        expect(((await response.json()) as Page).records).toHaveLength(2);
      });
    });
  });
}
