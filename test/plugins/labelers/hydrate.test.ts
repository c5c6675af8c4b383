import { describe, expect, it } from "vitest";
import { databases } from "../../setup/databases.ts";
import { author, createAtmosphere, start, uriOf, type Bench } from "./_bench.ts";

const list = "/xrpc/org.example.list";
const one = (rkey: string): string => `${list}?uri=${encodeURIComponent(uriOf(rkey))}`;

interface Answer {
  status: number;
  text: string;
  header: string | null;
  body: { records?: Record<string, unknown>[]; record?: Record<string, unknown>; error?: string };
}

async function ask(bench: Bench, path: string, accept?: string): Promise<Answer> {
  const headers: Record<string, string> = { origin: "https://app.example" };
  if (accept !== undefined) headers["atproto-accept-labelers"] = accept;
  const response = await bench.request(path, { headers });
  const text = await response.text();
  return {
    status: response.status,
    text,
    header: response.headers.get("atproto-content-labelers"),
    body: JSON.parse(text) as Answer["body"],
  };
}

describe.each(databases())("labels on default queries on $name", (subject) => {
  async function prepare() {
    const network = await createAtmosphere();
    const [first, second] = [await network.createLabeler(), await network.createLabeler()];
    const bench = await start(subject, { network });
    await bench.index("a", { text: "hello", createdAt: "2026-02-03T04:05:06Z", n: 1.5 });
    await bench.index("b", {
      text: "own",
      createdAt: "2026-02-03T04:05:06Z",
      labels: { $type: "com.atproto.label.defs#selfLabels", values: [{ val: "mine" }, null, { val: 5 }] },
    });
    const plain = [await ask(bench, list), await ask(bench, one("a")), await ask(bench, one("b"))];
    await bench.add(first, second);
    await first.emit({
      uri: uriOf("a"),
      val: "spam",
      cts: "2026-01-01T00:00:00.000Z",
      exp: "2999-01-01T00:00:00Z",
    });
    await second.emit({ uri: uriOf("a"), val: "rude", cts: "2026-01-01T00:00:00.000Z" });
    await bench.reads(first);
    await bench.reads(second);
    return { bench, first, second, plain };
  }

  it("come for who asks, of whom is asked for and subscribed to", async () => {
    const { bench, first, second } = await prepare();
    const both = await ask(bench, list, `${first.did}, did:plc:unknown, ${second.did};redact`);
    expect(both.header).toBe(`${first.did}, ${second.did};redact`);
    const [b, a] = both.body.records ?? [];
    expect(a).toMatchObject({ uri: uriOf("a"), text: "hello", n: 1.5 });
    expect(a?.["labels"]).toHaveLength(2);
    expect(a?.["labels"]).toContainEqual({
      src: first.did,
      uri: uriOf("a"),
      val: "spam",
      cts: "2026-01-01T00:00:00.000Z",
      exp: "2999-01-01T00:00:00.000+00:00",
    });
    expect(b?.["labels"]).toEqual([
      { src: author, uri: uriOf("b"), val: "mine", cts: "2026-02-03T04:05:06Z" },
    ]);

    const single = await ask(bench, one("a"), first.did);
    expect(single.body.record).toMatchObject({ text: "hello", labels: [{ val: "spam" }] });
    const none = await ask(bench, one("a"), "did:plc:unknown");
    expect([none.header, none.body.record?.["labels"]]).toEqual(["", []]);
  });

  it("change nothing, byte for byte, for who does not ask", async () => {
    const { bench, plain } = await prepare();
    for (const accept of [undefined, "", "  "]) {
      const now = [
        await ask(bench, list, accept),
        await ask(bench, one("a"), accept),
        await ask(bench, one("b"), accept),
      ];
      expect(now.map(({ text }) => text)).toEqual(plain.map(({ text }) => text));
      expect(now.map(({ header }) => header)).toEqual([null, null, null]);
    }
  });

  it("end with the subscription, and while it is paused", async () => {
    const { bench, first } = await prepare();
    await bench.admin("PATCH", `/${first.did}`, { status: "paused" });
    expect(await ask(bench, one("a"), first.did)).toMatchObject({
      header: "",
      body: { record: { labels: [] } },
    });
    await bench.add(first);
    expect((await ask(bench, one("a"), first.did)).header).toBe(first.did);
    await bench.admin("DELETE", `/${first.did}`);
    expect((await ask(bench, one("a"), first.did)).header).toBe("");
  });

  it.each([
    ["of the record", uriOf("a"), "!takedown"],
    ["of its author", author, "!suspend"],
  ])("leave out what a redacting labeler takes down: a label %s", async (_, uri, val) => {
    const { bench, first, second } = await prepare();
    await first.emit({ uri, val });
    await bench.reads(first);
    const redacted = await ask(bench, one("a"), `${first.did};redact`);
    expect([redacted.status, redacted.body.error]).toEqual([404, "record not found"]);
    const uris = (await ask(bench, list, `${second.did};redact,${first.did};redact`)).body.records?.map(
      (record) => record["uri"],
    );
    expect(uris).toEqual(uri === author ? [] : [uriOf("b")]);
    // Without the parameter it is a label like others, and another labeler's parameter is not this one's.
    expect((await ask(bench, one("a"), `${first.did},${second.did};redact`)).status).toBe(200);
  });

  it.each(["nonsense", "did:plc:a, ,did:plc:b", "did:plc:a;redact=?0", "did:plc:a;;redact", '"did:plc:a"'])(
    "are refused for the header %s",
    async (header) => {
      const bench = await start(subject);
      await bench.index("a");
      expect(await ask(bench, list, header)).toMatchObject({
        status: 400,
        body: { error: "InvalidRequest" },
      });
    },
  );

  it("are bounded", async () => {
    const bench = await start(subject);
    await bench.index("a");
    const many = (count: number): string =>
      Array.from({ length: count }, (_, i) => `did:plc:a${i}`).join(",");
    expect((await ask(bench, list, many(20))).status).toBe(200);
    expect((await ask(bench, list, many(21))).status).toBe(400);
    expect((await ask(bench, list, many(5000))).status).toBe(400);
    expect((await ask(bench, list, Array(30).fill("did:plc:a").join(","))).status).toBe(200);
  });

  it("are readable for a browser", async () => {
    const bench = await start(subject);
    await bench.index("a");
    const response = await bench.request(list, {
      headers: { origin: "https://app.example", "atproto-accept-labelers": "did:plc:a" },
    });
    expect(response.headers.get("access-control-expose-headers")?.toLowerCase()).toContain(
      "atproto-content-labelers",
    );
  });
});
