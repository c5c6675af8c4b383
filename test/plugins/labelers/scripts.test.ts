import { describe, expect, it } from "vitest";
import { databases } from "../../setup/databases.ts";
import { author, eventually, start, uriOf } from "./_bench.ts";

const handle = (body: string): string => `function handle()\n${body}\nend`;

describe.each(databases())("scripts of labels on $name", (subject) => {
  it("stores what the script makes of a label, and nothing where it says so", async () => {
    const bench = await start(subject, {
      scripts: {
        "labeler.apply/org.example.post.lua": handle(`
          if val == "drop" then return nil end
          if val == "rename" then return { val = "renamed" } end
          if val == "brief" then return { exp = "2999-01-01T00:00:00+01:00" } end
          if val == "long" then return { uri = uri .. ("x"):rep(3000) } end
          return true`),
        "labeler.apply/_actor.lua": handle(`return { val = "account-" .. val }`),
      },
    });
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    const emitted = ["drop", "rename", "keep", "brief", "long"].map((val) => ({ uri: uriOf("a"), val }));
    await labeler.emit(...emitted, { uri: author, val: "bot" });
    await bench.reads(labeler);
    expect(await bench.shown()).toEqual(
      [`${author} account-bot`, "a brief", "a keep", "a renamed"].toSorted(),
    );
    expect((await bench.labels()).find(({ val }) => val === "brief")?.exp).toBe(
      "2998-12-31T23:00:00.000+00:00",
    );
    const metrics = await bench.metrics();
    expect(metrics).toContain('happyview_labelers_labels_total{outcome="dropped"} 1');
    expect(metrics).toContain('happyview_labelers_labels_total{outcome="refused"} 1');
  });

  it("shows it negations, too, and stores a negation that the script makes", async () => {
    const bench = await start(subject, {
      scripts: {
        "labeler.apply/org.example.post.lua": handle(`
          if val == "veto" then return { val = "spam", neg = true } end
          return { val = neg and "gone" or val, neg = false }`),
      },
    });
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    await labeler.emit({ uri: uriOf("a"), val: "spam" }, { uri: uriOf("b"), val: "spam" });
    await labeler.emit({ uri: uriOf("a"), val: "veto" }, { uri: uriOf("b"), val: "spam", neg: true });
    await bench.reads(labeler);
    expect(await bench.shown()).toEqual(["b gone", "b spam"]);
  });

  it("never shows it a label that is not the labeler's", async () => {
    const bench = await start(subject, {
      scripts: { "labeler.apply/org.example.post.lua": handle(`log("saw " .. val) return true`) },
    });
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    labeler.emitSigned({
      ver: 1,
      src: labeler.did,
      uri: uriOf("a"),
      val: "forged",
      cts: "2026-01-01T00:00:00Z",
      sig: new Uint8Array(64),
    });
    await labeler.emit({ uri: uriOf("a"), val: "true" });
    await bench.reads(labeler);
    const logged = (): unknown[] =>
      bench.events.filter(({ type }) => type === "script.log").map(({ detail }) => detail["message"]);
    await eventually(() => expect(logged()).toEqual(["saw true"]));
  });

  it("lets a label pass whose script fails", async () => {
    const bench = await start(subject, {
      scripts: { "labeler.apply/org.example.post.lua": handle(`error("no luck")`) },
    });
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    await labeler.emit({ uri: uriOf("a"), val: "spam" });
    await bench.reads(labeler);
    expect(await bench.shown()).toEqual(["a spam"]);
    expect(bench.events.map(({ type }) => type)).toContain("script.dead_lettered");
  });
});
