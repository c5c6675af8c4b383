import { describe, expect, it, onTestFinished } from "vitest";
import type { LogEvent } from "../../../core/events.ts";
import { definePlugin } from "../../../core/plugin.ts";
import { deadLetters } from "../../../plugins/dead-letters/index.ts";
import { luaScripts } from "../../../plugins/lua-scripts/index.ts";
import type { ApplyLabel, Label } from "../../../plugins/lua-scripts/label.ts";
import { adminHeaders, startApp } from "../../setup/app.ts";
import { databases, type DatabaseSubject } from "../../setup/databases.ts";
import { jsonBody } from "../../suites/http/subject.ts";

const label: Label = {
  src: "did:plc:labeler",
  uri: "at://did:plc:author/org.example.note/k1",
  val: "spam",
  neg: false,
  cts: "2026-01-01T00:00:00.000Z",
};

async function start(subject: DatabaseSubject) {
  const events: LogEvent[] = [];
  const listener = definePlugin({
    name: "listener",
    setup: (app) => void app.hook("event", (event) => void events.push(event)),
  });
  const test = await startApp(subject, {
    plugins: [listener(), luaScripts({ retryDelaysMs: [1, 1, 1] }), deadLetters()],
  });
  onTestFinished(test.stop);
  const { applyLabel } = test.app.api("lua-scripts") as { applyLabel: ApplyLabel };
  return {
    ...test,
    events,
    applyLabel,
    async script(body: string, suffix = "org.example.note") {
      const script = { id: `labeler.apply:${suffix}`, body: `function handle()\n${body}\nend` };
      await test.request("/admin/scripts", jsonBody("POST", script, adminHeaders));
    },
  };
}

describe.each(databases())("label scripts on $name", (subject) => {
  it.each<[string, string, Label | undefined]>([
    ["nil", "return nil", undefined],
    ["nothing", "local x = 1", undefined],
    ["true", "return true", label],
    ["a string", "return 'x'", label],
    ["part of a label", "return { val = 'ham', neg = true }", { ...label, val: "ham", neg: true }],
    ["fields of the wrong type", "return { val = 5, neg = 'yes', exp = false }", label],
    ["an expiry", "return { exp = '2027-01-01T00:00:00Z' }", { ...label, exp: "2027-01-01T00:00:00Z" }],
    ["the event", "return event", label],
  ])("a script that returns %s", async (_, body, expected) => {
    const bench = await start(subject);
    await bench.script(body);
    expect(await bench.applyLabel(label)).toEqual(expected);
  });

  it("hands over the label's fields, and no expiry when there is none", async () => {
    const bench = await start(subject);
    await bench.script(
      "return { val = table.concat({ src, uri, val, tostring(neg), cts, tostring(exp), tostring(event.exp), tostring(caller_did) }, ' ') }",
    );
    const { src, uri, val, cts } = label;
    expect(await bench.applyLabel(label)).toMatchObject({
      val: `${src} ${uri} ${val} false ${cts} nil nil nil`,
    });
    expect((await bench.applyLabel({ ...label, exp: "later" }))?.val).toContain("later later");
  });

  it.each([
    ["at://did:plc:author", "actor"],
    ["at://did:plc:author/", "actor"],
    ["did:plc:author", "actor"],
    ["at://did:plc:author/org.example.note", "note"],
    ["at://did:plc:author/org.example.note/k1", "note"],
    ["at://did:plc:author/org.example.other/k1", "spam"],
  ])("chooses the script of %s", async (uri, val) => {
    const bench = await start(subject);
    await bench.script("return { val = 'actor' }", "_actor");
    await bench.script("return { val = 'note' }");
    expect(await bench.applyLabel({ ...label, uri })).toMatchObject({ val });
  });

  it("keeps a label whose script fails every attempt, with a dead letter", async () => {
    const bench = await start(subject);
    await bench.script("error('no luck')");
    expect(await bench.applyLabel(label)).toEqual(label);
    const response = await bench.request("/admin/dead-letters", { headers: adminHeaders });
    expect(await response.json()).toMatchObject({
      dead_letters: [
        {
          lexicon_id: "labeler.apply:org.example.note",
          uri: label.uri,
          did: label.src,
          collection: "org.example.note",
          rkey: "spam",
          action: "label",
          attempts: 4,
          error: expect.stringMatching(/:2: no luck$/),
        },
      ],
    });
    const row = await bench.app.db.get<{ payload: string; host_id: string }>(
      "SELECT payload, host_id FROM dead_letter_scripts",
    );
    expect(row?.host_id).toBe(label.src);
    expect(JSON.parse(row?.payload ?? "")).toEqual(label);
    expect(bench.events.filter((event) => event.type === "script.dead_lettered")).toMatchObject([
      { subject: label.uri, detail: { host_kind: "label", host_id: label.src, attempts: 4 } },
    ]);
  });

  it("says what ran", async () => {
    const bench = await start(subject);
    await bench.script("return true");
    await bench.applyLabel(label);
    expect(bench.events.filter((event) => event.type === "script.executed")).toMatchObject([
      {
        actor: null,
        subject: label.uri,
        detail: {
          host_kind: "label",
          host_id: label.src,
          trigger: "labeler.apply:org.example.note",
          attempts: 1,
        },
      },
    ]);
  });
});
