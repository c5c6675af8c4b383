import { expect, test } from "vitest";
import { jetstreamUrl, maxWanted, relayUrl, wantedCollections } from "../../../plugins/firehose/filter.ts";

const schema = "com.atproto.lexicon.schema";
const many = (count: number, id: (i: number) => string): string[] =>
  Array.from({ length: count }, (_, i) => id(i));

test("each collection and the lexicon schemas, once", () => {
  expect(wantedCollections([])).toEqual([schema]);
  expect(wantedCollections(["xyz.b.c", "app.a.b", schema])).toEqual(["app.a.b", schema, "xyz.b.c"]);
});

test("a name that is no NSID is left out: it would cost the whole subscription", () => {
  expect(wantedCollections(["a.b", "1.2.3", "com.example.note"])).toEqual([schema, "com.example.note"]);
});

test("up to the limit, names are exact", () => {
  const wanted = wantedCollections(many(maxWanted - 1, (i) => `com.example.c${i}`));
  expect(wanted).toHaveLength(maxWanted);
  expect(wanted.some((name) => name.includes("*"))).toBe(false);
});

test("beyond it, the most specific namespaces that fit", () => {
  const wanted = wantedCollections([
    ...many(60, (i) => `com.example.feed.c${i}`),
    ...many(60, (i) => `com.example.graph.c${i}`),
    "xyz.other.thing",
  ]);
  expect(wanted.toSorted()).toEqual(
    [schema, "com.example.feed.*", "com.example.graph.*", "xyz.other.thing"].toSorted(),
  );
});

test("coarser namespaces when the specific ones are still too many", () => {
  const ids = many(300, (i) => `com.example.n${i % 150}.c${i}`);
  expect(wantedCollections(ids).toSorted()).toEqual([schema, "com.example.*"].toSorted());
});

test("every collection stays covered", () => {
  const ids = many(500, (i) => `org.site${i % 40}.area${i % 80}.c${i}`);
  const wanted = wantedCollections(ids);
  expect(wanted.length).toBeLessThanOrEqual(maxWanted);
  const covers = (id: string): boolean =>
    wanted.some((name) => name === id || (name.endsWith(".*") && id.startsWith(name.slice(0, -1))));
  expect(ids.filter((id) => !covers(id))).toEqual([]);
});

test("no filter at all when even two-segment namespaces are too many", () => {
  expect(wantedCollections(many(200, (i) => `com.site${i}.note`))).toEqual([]);
  expect(jetstreamUrl("wss://j.example", [], "7")).toBe("wss://j.example/subscribe?cursor=7");
});

test.each([
  ["wss://j.example", "wss://j.example/subscribe"],
  ["wss://j.example///", "wss://j.example/subscribe"],
  ["https://j.example/sub/", "wss://j.example/sub/subscribe"],
  ["http://127.0.0.1:6008", "ws://127.0.0.1:6008/subscribe"],
  ["ws://user:secret@j.example", "ws://user:secret@j.example/subscribe"],
])("the base %s gives %s", (base, url) => {
  expect(jetstreamUrl(base, [], undefined)).toBe(url);
});

test("the query names each collection and the cursor, and asks for no compression", () => {
  const url = new URL(jetstreamUrl("wss://j.example", ["a.b.c", "d.e.*"], "17"));
  expect(url.searchParams.getAll("wantedCollections")).toEqual(["a.b.c", "d.e.*"]);
  expect(url.searchParams.get("cursor")).toBe("17");
  expect(url.searchParams.has("compress")).toBe(false);
});

test("a relay is asked on its XRPC path", () => {
  expect(relayUrl("https://relay.example/", undefined)).toBe(
    "wss://relay.example/xrpc/com.atproto.sync.subscribeRepos",
  );
  expect(relayUrl("http://relay.example", "5")).toMatch(/^ws:.*\?cursor=5$/);
});
