import { describe, expect, it } from "vitest";
import { sweepExpired } from "../../../plugins/labelers/sweep.ts";
import { adminHeaders } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { author, collection, start, uriOf } from "./_bench.ts";

/** Before which the app itself finds nothing to sweep. */
const longAgo = Date.parse("2020-01-01T00:00:00Z");
const midnight = Date.parse("2026-03-01T00:00:00Z");

describe.each(databases())("expiry of labels on $name", (subject) => {
  it("is over at its moment, in any zone, for whoever reads; and an older label does not come back then", async () => {
    let now = midnight;
    const bench = await start(subject, { now: () => now });
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    await bench.index("a");
    const label = { uri: uriOf("a"), cts: "2026-02-01T00:00:02Z" };
    await labeler.emit(
      { ...label, val: "brief", cts: "2026-02-01T00:00:01Z" },
      { ...label, val: "brief", exp: "2026-03-01T01:00:00Z" },
      { ...label, val: "offset", exp: "2026-03-01T02:30:00+02:00" },
      { ...label, val: "past", exp: "2026-02-28T23:59:59.999Z" },
      { ...label, val: "odd", exp: "some day" },
      { ...label, val: "far", exp: "9999-12-31T23:59:59-23:00" },
    );
    await bench.reads(labeler);
    const vals = async (): Promise<string[]> => {
      const response = await bench.request("/xrpc/org.example.list", {
        headers: { "atproto-accept-labelers": labeler.did },
      });
      const { records } = (await response.json()) as { records: { labels: { val: string }[] }[] };
      return (records[0]?.labels ?? []).map(({ val }) => val).toSorted();
    };
    expect(await bench.shown()).toEqual(["a brief", "a far", "a odd", "a offset"]);
    expect(await vals()).toEqual(["brief", "far", "odd", "offset"]);
    now = midnight + 30 * 60_000;
    expect(await vals()).toEqual(["brief", "far", "odd"]);
    now = midnight + 60 * 60_000;
    expect(await vals()).toEqual(["far", "odd"]);
    expect(await sweepExpired(bench.app.db, now)).toBe(2);
    expect(await bench.shown()).toEqual(["a far", "a odd"]);

    // What is sent again from the start is what it was.
    await labeler.emit({ ...label, val: "brief", cts: "2026-02-01T00:00:01Z" });
    await bench.reads(labeler);
    expect(await bench.shown()).toEqual(["a far", "a odd"]);
  });

  it("sweeps what scripts and other versions wrote, whatever it looks like, and keeps what it cannot read", async () => {
    const bench = await start(subject, { now: () => longAgo });
    const { db } = bench.app;
    const expiries = {
      "live-z": "2026-03-02T00:00:00Z",
      "live-offset": "2026-03-01T00:30:00-01:00",
      never: null,
      unparsable: "tomorrow",
      empty: "",
      spaces: "2026-01-01 00:00:00",
      basic: "20260101T000000Z",
      "gone-z": "2026-02-28T23:59:59Z",
      "gone-offset": "2026-03-01T00:30:00+01:00",
      "gone-utc": "2026-02-28T00:00:00.123+00:00",
      "gone-day-after": "2026-03-01T13:00:00+14:00",
    };
    for (const [val, exp] of Object.entries(expiries))
      await db.run("INSERT INTO labels (src, uri, val, cts, exp) VALUES (?, ?, ?, ?, ?)", [
        "did:plc:lab",
        author,
        val,
        "2026-01-01T00:00:00Z",
        exp,
      ]);
    expect(await sweepExpired(db, midnight)).toBe(4);
    expect((await bench.labels()).map(({ val }) => val)).toEqual(
      Object.keys(expiries)
        .filter((val) => !val.startsWith("gone"))
        .toSorted(),
    );
    expect(await sweepExpired(db, midnight)).toBe(0);
  });

  it("sweeps more than a page, and keeps labels of accounts and of records that are not here", async () => {
    const bench = await start(subject, { now: () => longAgo });
    const { db } = bench.app;
    await db.insertMany(
      {
        table: "happyview_labels",
        columns: { src: "text", uri: "text", val: "text", cts: "text", exp: "text" },
      },
      Array.from({ length: 1300 }, (_, i) => [
        "did:plc:lab",
        i % 2 === 0 ? author : uriOf(`k${i}`),
        `v${i}`,
        "2026-01-01T00:00:00Z",
        i % 10 === 0 ? null : `2026-02-${String(1 + (i % 28)).padStart(2, "0")}T00:00:00.000+00:00`,
      ]),
    );
    expect(await sweepExpired(db, midnight)).toBe(1170);
    expect(await bench.labels()).toHaveLength(130);
  });

  it("is no text: an expired label is not shown to admins", async () => {
    const bench = await start(subject, { now: () => midnight });
    await bench.index("a");
    for (const [val, exp] of [
      ["gone", "2026-01-01T00:00:00Z"],
      ["here", "2999-01-01T00:00:00-10:00"],
      ["odd", "never"],
    ])
      await bench.app.db.run("INSERT INTO labels (src, uri, val, cts, exp) VALUES (?, ?, ?, ?, ?)", [
        "did:plc:lab",
        uriOf("a"),
        val ?? "",
        "2026-01-01T00:00:00Z",
        exp ?? "",
      ]);
    const response = await bench.request(`/admin/records?collection=${collection}`, {
      headers: adminHeaders,
    });
    const { records } = (await response.json()) as { records: { labels: { val: string }[] }[] };
    expect(records[0]?.labels.map(({ val }) => val).toSorted()).toEqual(["here", "odd"]);
  });
});
